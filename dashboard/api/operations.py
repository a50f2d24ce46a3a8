"""What an operation of the API is, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.api import problems
from dashboard.api.problems import Kind
from dashboard.api_clients import ABILITIES, Ability, Client
from dashboard.middleware import API as BASE

__all__ = ("BASE", "OPERATIONS", "Answer", "Call", "Operation", "by_path", "every", "operation")


@dataclass(frozen=True)
class Call:
    """A request that may be done.

    body    as its schema has it; {} where none is taken
    secret  the header Session-Secret
    token   digest of client, address, body and Idempotency-Key, for `store.change`; None without that header
    """

    client: Client
    body: dict[str, Any] = field(default_factory=dict)
    secret: str = ""
    token: str | None = None

    @property
    def by(self) -> str:
        """Who it was, for what goes on record."""
        return self.client.account

    def token_for(self, part: str) -> str | None:
        """The same for one of several changes that a request makes."""
        return self.token and f"{self.token}-{part}"


@dataclass(frozen=True)
class Answer:
    """What a request came to; None of a body for 204."""

    body: dict[str, Any] | None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Act = Callable[..., Answer]


@dataclass(frozen=True)
class Operation:
    """One method at one address.

    path    under BASE, with its slots: `sessions/{id}/refresh`
    takes, gives  names of schemas; "" for no body
    repeats whether Idempotency-Key makes a repeat give the first answer and do nothing
    secret  whether it takes the header Session-Secret
    """

    method: str
    path: str
    ability: Ability
    summary: str
    description: str
    act: Act
    takes: str
    gives: str
    status: int
    repeats: bool
    secret: bool
    problems: tuple[Kind, ...]

    @property
    def name(self) -> str:
        return self.act.__name__

    @property
    def slots(self) -> list[str]:
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


OPERATIONS: list[Operation] = []

_EVERYWHERE = (problems.UNKNOWN_TOKEN, problems.NOT_ALLOWED, problems.TOO_MANY, problems.FAILURE, problems.AWAY)
_WITH_BODY = (problems.MALFORMED, problems.TOO_LARGE, problems.NOT_JSON, problems.INVALID)


def operation(
    method: str,
    path: str,
    ability: Ability,
    summary: str,
    *,
    takes: str = "",
    gives: str = "",
    status: int = 200,
    repeats: bool = False,
    secret: bool = False,
    also: Sequence[Kind] = (),
) -> Callable[[Act], Act]:
    """Enter a function as an operation; its docstring is what the API's users read. `also`: problems of its own."""
    own = (
        *_EVERYWHERE,
        *(_WITH_BODY if takes else ()),
        *((problems.MALFORMED,) if repeats and not takes else ()),
        *also,
    )

    def enter(act: Act) -> Act:
        description = " ".join((act.__doc__ or "").split())
        kinds = tuple(sorted(dict.fromkeys(own), key=lambda kind: kind.status))
        OPERATIONS.append(
            Operation(method, path, ability, summary, description, act, takes, gives, status, repeats, secret, kinds)
        )
        return act

    return enter


def every() -> list[Operation]:
    """All operations, by ability, as they were entered."""
    order = list(ABILITIES)
    return sorted(OPERATIONS, key=lambda each: order.index(each.ability))


def by_path() -> dict[str, dict[str, Operation]]:
    """The operations at each address, by method."""
    found: dict[str, dict[str, Operation]] = {}
    for each in every():
        found.setdefault(each.path, {})[each.method] = each
    return found
