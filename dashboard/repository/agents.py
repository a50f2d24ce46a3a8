"""Which agent belongs to which branch, and what a person may see.

The accounts are the truth; their copy in the store (`dash:agents`) is what lists and the follower read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redis import Redis

from dashboard import keys
from dashboard.repository.index import UNKNOWN
from dashboard.repository.values import answered


@dataclass(frozen=True)
class Scope:
    """What a person may see: `branches` None is all of them; `products` as in keys.PRODUCTS."""

    branches: frozenset[str] | None = None
    products: frozenset[str] = field(default_factory=lambda: frozenset(keys.PRODUCTS))

    def sees(self, product: str | None, branch: str) -> bool:
        """A thing without a known product or branch is visible to all: nobody else would look after it."""
        in_product = not product or product in self.products
        return in_product and (self.branches is None or branch == UNKNOWN or branch in self.branches)


@dataclass(frozen=True)
class Directory:
    """Branch by agent."""

    branches: Mapping[str, str]

    def branch_of(self, agent: str | None) -> str:
        """The agent's branch; UNKNOWN for no agent or one without account."""
        return self.branches.get(agent or "", UNKNOWN)

    def visible(self, scope: Scope) -> list[str]:
        """The branches a list restricted to `scope` has to merge, the unknown one among them."""
        known = set(self.branches.values()) - {UNKNOWN}
        return [UNKNOWN, *sorted(known if scope.branches is None else known & scope.branches)]

    def facets(
        self, scope: Scope, *, product: str | None = None, agent: str | None = None, **others: str | None
    ) -> dict[str, list[str]]:
        """What a list is restricted to: by what this person may see, and by these values (None: any)."""
        products = [product] if product else list(keys.PRODUCTS)
        found = {"product": [each for each in products if each in scope.products]}
        found |= {facet: [value] for facet, value in others.items() if value}
        if not agent:
            return found | {"branch": self.visible(scope)}
        # An agent has one branch, so what is theirs is visible as a whole or not at all.
        if not scope.sees(None, self.branch_of(agent)):
            found["product"] = []
        return found | {"agent": [agent]}

    def agents(self, scope: Scope) -> list[str]:
        return sorted(agent for agent, branch in self.branches.items() if scope.sees(None, branch))


def directory(client: Redis) -> Directory:
    """One round trip."""
    return Directory(client.hgetall(keys.agents()))


def is_kept(client: Redis, branches: Mapping[str, str]) -> bool:
    """Whether the store's copy says just this. Where another tool put something else in its place it does not."""
    return answered(client.pipeline(transaction=False).hgetall(keys.agents()))[0] == dict(branches)


def knows(client: Redis, agent: str) -> bool:
    """Whether the directory has this agent's branch. One round trip."""
    return client.hget(keys.agents(), agent) is not None


def save(client: Redis, branches: Mapping[str, str]) -> None:
    """Copy the accounts' branches into the store. Agents that have none are left out."""
    pipe = client.pipeline(transaction=True)
    pipe.delete(keys.agents())
    if branches:
        pipe.hset(keys.agents(), mapping=dict(branches))
    pipe.execute()
