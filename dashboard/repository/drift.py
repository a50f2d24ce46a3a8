"""Where what is stored beside a customer disagrees with the policies' own fields: seen, listed, and repaired (trap 7).

The policies' own `customer` and `premium` are the truth; `customer:<id>:policies`, `policy_count`, `total_premium` and
`customer:multi_policy` are what other tools read, and may have been left behind by one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from redis import Redis

from dashboard import keys
from dashboard.errors import Conflict
from dashboard.repository import audit, customers, places, policies
from dashboard.repository.agents import Directory
from dashboard.repository.customers import DRIFTED, INDEX, Customer
from dashboard.repository.index import UNKNOWN, Cursor, Entry, Page
from dashboard.repository.places import Misplaced
from dashboard.repository.store import Change, change
from dashboard.repository.values import amount, answered, dollars, named, plain

MOST = 1_000
"""Policies of one customer that are looked at."""
EXPORTED = 200
"""Customers read in one go where the whole list is."""
NAMED = 20
"""Policies that are named in words, of each sort."""

_TOLD = dict.fromkeys(keys.PRODUCTS, ("customer", "premium")) | {"life": ("customer", "premium", "premium_monthly")}
_NOBODY = Directory({})


@dataclass(frozen=True)
class Drift:
    """A customer's stored relations beside what their policies say.

    held       ids of the policies whose own field names this customer, in the list's order as far as it has them
    missing    those of them that the list lacks
    foreign    ids that the list has though they belong to somebody else (whom), or to nobody ("")
    total      dollars a year, the sum of the held policies' own premiums, twelve months' where only that is known
    misplaced  policies that stand in a wrong ZIP area's list, or not in their own; only where asked for
    unnamed    how many of these three may not be named to who asks
    """

    customer: Customer
    held: tuple[str, ...]
    missing: tuple[str, ...]
    foreign: Mapping[str, str]
    total: Decimal
    grouped: bool
    misplaced: tuple[Misplaced, ...] = ()
    unnamed: int = 0

    @property
    def count_differs(self) -> bool:
        stored = amount(self.customer.count or "0")
        return stored != len(self.held)

    @property
    def total_differs(self) -> bool:
        if self.customer.total is None:
            return self.total != 0 or any("total_premium" in each.key for each in self.customer.problems)
        return self.customer.total != self.total

    @property
    def group_differs(self) -> bool:
        """Whether `customer:multi_policy` has them and should not, or the other way round."""
        return self.grouped != (len(self.held) > 1)

    @property
    def of_relations(self) -> bool:
        return bool(self.missing or self.foreign or self.count_differs or self.total_differs or self.group_differs)

    @property
    def any(self) -> bool:
        return self.of_relations or bool(self.misplaced or self.unnamed)

    @property
    def policies(self) -> list[str]:
        """Ids of those that the sentences name."""
        return [*self.missing, *self.foreign, *(each.policy for each in self.misplaced)]

    def to(self, known: Collection[str]) -> Drift:
        """The same to somebody to whom only these policies may be named."""
        return replace(
            self,
            missing=tuple(each for each in self.missing if each in known),
            foreign={each: owner for each, owner in self.foreign.items() if each in known},
            misplaced=tuple(each for each in self.misplaced if each.policy in known),
            unnamed=sum(each not in known for each in self.policies),
        )

    @property
    def sentences(self) -> list[str]:
        """What disagrees, each in words."""
        who = self.customer
        said = [f"{named(each)} is theirs, and the stored list lacks it." for each in self.missing[:NAMED]]
        for each, owner in list(self.foreign.items())[:NAMED]:
            whose = f"belongs to {named(owner)}" if owner else "names no customer, or is gone"
            said.append(f"{named(each)} stands in the stored list, but {whose}.")
        left = max(len(self.missing) - NAMED, 0) + max(len(self.foreign) - NAMED, 0)
        if left:
            said.append(f"So do {left:,} more.")
        if self.count_differs:
            said.append(f"The stored count is {named(who.count or 'missing')}; there are {len(self.held)}.")
        if self.total_differs:
            stored = dollars(who.total) if who.total is not None else "missing or no amount"
            said.append(f"The stored total premium is {stored}; their policies add up to {dollars(self.total)}.")
        if self.group_differs:
            said.append(
                "They stand among customers with several policies, and should not."
                if self.grouped
                else "They hold several policies, and do not stand among customers who do."
            )
        said += [each.sentence for each in self.misplaced]
        if self.unnamed:
            said.append(f"{self.unnamed:,} more, of branches or products that are not yours.")
        return said


def of(client: Redis, customer: str) -> Drift:
    """One customer's, places included. About eight round trips."""
    found = many(client, {customer: customers.get(client, customer)})[customer]
    return replace(found, misplaced=tuple(places.misplaced(client, found.held, found.customer.place)))


def many(client: Redis, loaded: Mapping[str, Customer]) -> dict[str, Drift]:
    """By customer, without places. Four round trips at most, whatever their number."""
    pipe = client.pipeline(transaction=False)
    for customer in loaded:
        pipe.zrange(policies.INDEX.key(policies.INDEX.cell(customer=customer), "number"), 0, MOST - 1)
        pipe.sismember(keys.multi_policy(), customer)
    answers = answered(pipe)
    indexed = dict(zip(loaded, answers[0::2], strict=True))
    grouped = dict(zip(loaded, answers[1::2], strict=True))
    wanted = {each for customer in loaded for each in (*loaded[customer].listed[:MOST], *(indexed[customer] or ()))}
    told = policies.load(client, sorted(wanted), fields=_TOLD, directory=_NOBODY) if wanted else {}
    return {c: _drift(each, told, indexed[c] or (), bool(grouped[c])) for c, each in loaded.items()}


def listing(client: Redis, *, cursor: Cursor | None = None, size: int = 50) -> Page[Drift]:
    """One page of the customers whose relations disagree. Ten round trips at most; entries that agree by now are taken
    out and the page is filled up.
    """

    def load(members: Sequence[str]) -> dict[str, Drift]:
        found = many(client, customers.load(client, members, always=True))
        return {customer: each for customer, each in found.items() if each.of_relations}

    return INDEX.things(
        client, {"drift": [DRIFTED]}, "number", size, load=load, facets=lambda each: {}, refresh=refresh, cursor=cursor
    )  # fmt: skip


def every(client: Redis) -> Iterator[Drift]:
    """All of the list, page by page as they are asked for. Ten round trips for each 200."""
    cursor = None
    while True:
        page = listing(client, cursor=cursor, size=EXPORTED)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def repair(customer: str, *, by: str, token: str | None = None) -> str:
    """Bring a customer's relations, and their policies' ZIP areas, in step with the policies' own fields. One audited
    transaction. Gives what was put right, in words. Raises Conflict where there is nothing to repair.
    """

    def action(draft: Change) -> str:
        relations = [keys.customer_field(customer, name) for name in ("policies", "policy_count", "total_premium")]
        draft.watch(*relations, keys.customer_field(customer, "address"), keys.multi_policy())
        draft.require("set", [keys.multi_policy()])
        found = of(draft.client, customer)
        # Whatever a policy says of its owner or premium from here on undoes this attempt, and is looked at again.
        draft.watch(*_told_keys((*found.held, *found.foreign)))
        found = of(draft.client, customer)
        if not found.any:
            raise Conflict("Nothing disagrees any more: somebody has repaired it, or the policies changed.")
        written = (",".join(found.held), str(len(found.held)), plain(found.total))
        for name, value in zip(relations, written, strict=True):
            draft.set(name, value)  # a plain SET mends a value of any type
        draft.record("SADD" if len(found.held) > 1 else "SREM", keys.multi_policy(), customer)
        places.put_right(draft, found.misplaced)
        words = " ".join(found.sentences)
        audit.append(draft, audit.CUSTOMER, customer, text=f"Relations repaired by {by}. Before: {words}", by=by)
        known = INDEX.known_places(draft.client, [customer])[customer]
        INDEX.put(draft, customer, customers.entry(replace(found.customer, total=found.total), UNKNOWN), known)
        draft.event("customers", customer)
        count = len(found.sentences)
        return f"Put right: {count} contradiction{'' if count == 1 else 's'}."

    return change(action, token=token)


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index of customers in step with the truth: who they are, and whether their relations agree. Who has no
    key of their own is there as long as something disagrees: a policy names them, and no list, count or total says so.
    Seven round trips, one more where some have no key. Gives how many entries changed.
    """

    def read(members: Sequence[str]) -> dict[str, Entry]:
        stored = customers.load(client, members)
        bare = customers.load(client, [each for each in members if each not in stored], always=True)
        found = many(client, stored | bare) if stored or bare else {}
        return {
            customer: customers.entry(each.customer, DRIFTED if each.of_relations else UNKNOWN)
            for customer, each in found.items()
            if customer in stored or each.of_relations
        }

    return INDEX.follow(client, members, read, force=force)


def _drift(who: Customer, told: Mapping[str, policies.Policy], indexed: Iterable[str], grouped: bool) -> Drift:
    theirs = [each for each in dict.fromkeys((*who.listed, *indexed)) if each in told and told[each].customer == who.id]
    foreign = {each: (told[each].customer or "") if each in told else "" for each in who.listed if each not in theirs}
    return Drift(
        customer=who,
        held=tuple(theirs),
        missing=tuple(each for each in theirs if each not in who.listed),
        foreign=foreign,
        total=sum((told[each].yearly or Decimal(0) for each in theirs), Decimal(0)),
        grouped=grouped,
    )


def _told_keys(ids: Iterable[str]) -> list[str]:
    return [
        key
        for _, product, number in keys.numbered(ids)
        for key in (
            keys.policy(product, number),
            keys.policy_field(product, number, "customer"),
            keys.policy_field(product, number, "premium"),
            keys.policy_field(product, number, "premium_monthly"),
            keys.policy_field(product, number, "property_address"),
        )
    ]
