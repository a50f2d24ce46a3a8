"""Places: ZIP areas with the list of their policies and a risk score, as other tools read them.

    location:dallas:75201:policies     home:200001,auto:100001
    location:dallas:75201:risk_score   750

A policy stands where its property is; one without property (a car) may stand where its customer lives. Where a list
disagrees, the policies' own fields win.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Literal

from redis import Redis

from dashboard import keys
from dashboard.errors import Conflict, NotFound
from dashboard.repository import agents, audit, customers, policies
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.index import UNKNOWN, Cursor, Entry, Index, Page, clean, number_score
from dashboard.repository.policies import Policy
from dashboard.repository.store import Change, change
from dashboard.repository.values import Problem, Reader, answered, comma_list, named, read_strings
from dashboard.repository.values import place as place_of

MOST = 20_000
"""Policies of one ZIP area that are compared with its list."""

EXPORTED = 500
"""Places read in one go where a whole list is."""

DRIFTED = "yes"

INDEX = Index("places", patterns=((), ("city",), ("drift",)), sorts=("zip", "risk"), domains={}, lookups=("drift",))

_TOLD = {"auto": ("customer",), "home": ("customer", "property_address"), "life": ("customer",)}
_NOBODY = Directory({})

Sort = Literal["zip", "risk"]


@dataclass(frozen=True)
class Place:
    """One ZIP area as its keys tell it; `listed` are ids of policies."""

    city: str
    zip: str
    listed: tuple[str, ...]
    risk: Decimal | None
    problems: tuple[Problem, ...]

    @property
    def id(self) -> str:
        return f"{self.city}:{self.zip}"


@dataclass(frozen=True)
class Filter:
    """What the list of places is restricted to: a `city` as key names have it, or what a `zip` of five digits begins with."""

    city: str | None = None
    zip: str | None = None

    @property
    def stretch(self) -> tuple[int | None, int | None]:
        """From where to where in the order of ZIPs."""
        if not self.zip:
            return None, None
        step = 10 ** (5 - len(self.zip))
        return int(self.zip) * step, (int(self.zip) + 1) * step - 1


@dataclass(frozen=True)
class Misplaced:
    """A policy that a ZIP area's list lacks, or has though it stands elsewhere (or is gone: `gone`)."""

    policy: str
    city: str
    zip: str
    lacking: bool
    gone: bool = False

    @property
    def sentence(self) -> str:
        where = f"{self.city.replace('_', ' ').title()} {self.zip}"
        policy = named(self.policy)
        if self.lacking:
            return f"{policy} stands in {where}, and that area's list lacks it."
        why = "there is no such policy" if self.gone else "it stands elsewhere"
        return f"{policy} stands in the list of {where}, but {why}."


# -- reading


def get(client: Redis, city: str, zip_code: str) -> Place:
    """Raises NotFound. One or two round trips, seven where neither a list nor a score is kept."""
    member = f"{city}:{zip_code}"
    found = _stored(client, [member])
    if member in found:
        return found[member]
    bare = _bare(member)
    if bare is None or not compare(client, bare):
        raise NotFound(f"Nothing is known of {city.replace('_', ' ').title()} {zip_code}.")
    return bare


def load(client: Redis, members: Iterable[str]) -> dict[str, Place]:
    """Places by id (`dallas:75201`): those that have a list or a score, and those without where a policy's property
    stands, which the index has among those that drift (see `refresh`). One or two round trips, one more where some have
    neither.
    """
    wanted = list(members)
    found = _stored(client, wanted)
    absent = [member for member in wanted if member not in found]
    known = INDEX.known_places(client, absent) if absent else {}
    drifted = [member for member, at in known.items() if at and INDEX.facets_of(at).get("drift") == DRIFTED]
    return found | {member: bare for member in drifted if (bare := _bare(member))}


def _stored(client: Redis, members: Iterable[str]) -> dict[str, Place]:
    """Those that have a list or a score. One or two round trips."""
    names = {member: parts for member in members if (parts := _names(member))}
    values = read_strings(client, [key for each in names.values() for key in each.values()])
    found = {}
    for member, each in names.items():
        if any(values[key] is not None for key in each.values()):
            reader = Reader({**values}, each)
            raw = values[each["policies"]]
            # A list may be longer than any text that is shown.
            listed = comma_list(raw) if isinstance(raw, str) else comma_list(reader.text("policies"))
            risk = reader.amount("risk_score")
            city, _, zip_code = member.partition(":")
            found[member] = Place(city, zip_code, tuple(listed), risk, tuple(reader.problems))
    return found


def _bare(member: str) -> Place | None:
    """A place of which nothing is stored; None for what is no place's id."""
    city, _, zip_code = member.partition(":")
    return Place(city, zip_code, (), None, ()) if _names(member) else None


def listing(
    client: Redis, wanted: Filter, *, sort: Sort = "zip", cursor: Cursor | None = None, descending: bool = False,
    size: int = 50,
) -> Page[Place]:  # fmt: skip
    """One page of the places, by ZIP or by risk score; those whose ZIP begins so are always by ZIP. Four round trips at
    most.
    """
    low, high = wanted.stretch
    return INDEX.things(
        client, {"city": [wanted.city]} if wanted.city else {}, "zip" if wanted.zip else sort, size,
        load=partial(load, client), facets=lambda each: {"city": clean(each.city)}, refresh=refresh, cursor=cursor,
        descending=descending, low=low, high=high,
    )  # fmt: skip


def every(client: Redis, wanted: Filter, *, sort: Sort = "zip", descending: bool = False) -> Iterator[Place]:
    """All of a list, page by page as they are asked for. Four round trips for each 500."""
    cursor = None
    while True:
        page = listing(client, wanted, sort=sort, descending=descending, cursor=cursor, size=EXPORTED)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def drifting(client: Redis, *, cursor: Cursor | None = None, size: int = 50) -> Page[tuple[Place, list[Misplaced]]]:
    """One page of the places whose list disagrees with the policies. A few round trips for each place of the page."""

    def look(members: Sequence[str]) -> dict[str, tuple[Place, list[Misplaced]]]:
        found = {member: (each, compare(client, each)) for member, each in load(client, members).items()}
        return {member: each for member, each in found.items() if each[1]}

    return INDEX.things(
        client, {"drift": [DRIFTED]}, "zip", size, load=look, facets=lambda each: {}, refresh=refresh, cursor=cursor
    )  # fmt: skip


def all_wrong(client: Redis) -> Iterator[tuple[Place, list[Misplaced]]]:
    """All places whose list disagrees, page by page as they are asked for."""
    cursor = None
    while True:
        page = drifting(client, cursor=cursor)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def policies_in(
    client: Redis, scope: Scope, where: Place, *, start: int = 0, size: int = 50
) -> tuple[list[Policy], int]:
    """So many of the listed policies from the `start`th on, those this person may see, and how many the list has. Six
    round trips at most.
    """
    directory = agents.directory(client)
    part = where.listed[start : start + size]
    loaded = policies.load(client, [each[0] for each in keys.numbered(part)], directory=directory)
    rows = [loaded[each] for each in part if each in loaded and scope.sees(loaded[each].product, loaded[each].branch)]
    return policies.with_names(client, rows), len(where.listed)


def compare(client: Redis, where: Place) -> list[Misplaced]:
    """What of a place's list disagrees with the policies. Five round trips at most."""
    listed = where.listed[:MOST]
    indexed = _indexed(client, where.zip)
    told = _told(client, (*listed, *indexed))
    homes = _homes(client, told.values())
    here = (where.city, where.zip)
    found = []
    for each in listed:
        if each not in told:
            found.append(Misplaced(each, *here, lacking=False, gone=True))
        elif not _may_stand(told[each], homes, here):
            found.append(Misplaced(each, *here, lacking=False))
    lacking = [each for each in indexed if each in told and place_of(told[each].property_address) == here]
    return found + [Misplaced(each, *here, lacking=True) for each in lacking if each not in set(listed)]


def misplaced(client: Redis, held: Sequence[str], home: tuple[str, str]) -> list[Misplaced]:
    """What disagrees about one customer's policies (`held`): in the lists of where they stand, and of where the customer
    lives (`home`). Four round trips at most.
    """
    told = _told(client, held)
    own = {each: place_of(policy.property_address) for each, policy in told.items()}
    spots = [spot for spot in dict.fromkeys([*own.values(), home]) if all(spot) and _names(":".join(spot))]
    lists = _stored(client, [":".join(spot) for spot in spots])
    found = []
    for spot in spots:
        stored = lists.get(":".join(spot))
        listed = set(stored.listed) if stored else set()
        for each, policy in told.items():
            if own[each] == spot and each not in listed:
                found.append(Misplaced(each, *spot, lacking=True))
            elif each in listed and not _may_stand(policy, {policy.customer or "": home}, spot):
                found.append(Misplaced(each, *spot, lacking=False))
    return found


# -- writing


def put_right(draft: Change, wrong: Iterable[Misplaced]) -> None:
    """Record the repair of these. Two round trips for each place."""
    by_place: dict[tuple[str, str], list[Misplaced]] = {}
    for each in wrong:
        by_place.setdefault((each.city, each.zip), []).append(each)
    for spot, found in by_place.items():
        name = keys.location_policies(*spot)
        draft.watch(name)
        raw = read_strings(draft.client, [name])[name]
        listed = comma_list(raw if isinstance(raw, str) else None)
        gone = {each.policy for each in found if not each.lacking}
        listed = [each for each in listed if each not in gone]
        listed += [each.policy for each in found if each.lacking and each.policy not in listed]
        draft.set(name, ",".join(listed))
        draft.event("places", ":".join(spot))


def repair(city: str, zip_code: str, *, by: str, token: str | None = None) -> str:
    """Bring a place's list in step with the policies' own fields, in one audited transaction. Gives what was put right,
    in words. Raises NotFound, or Conflict where there is nothing to repair.
    """

    if not _names(f"{city}:{zip_code}"):
        raise NotFound("No place can be called that.")

    def action(draft: Change) -> str:
        draft.watch(keys.location_policies(city, zip_code))
        where = get(draft.client, city, zip_code)
        wrong = compare(draft.client, where)
        if not wrong:
            raise Conflict("Nothing disagrees any more: somebody has repaired it, or the policies changed.")
        put_right(draft, wrong)
        words = " ".join(each.sentence for each in wrong[:20]) + (f" And {len(wrong) - 20} more." if wrong[20:] else "")
        audit.append(draft, audit.PLACE, city, zip_code, text=f"List repaired by {by}. Before: {words}", by=by)
        known = INDEX.known_places(draft.client, [where.id])[where.id]
        INDEX.put(draft, where.id, _entry(where, drifted=False), known)
        return f"Put right: {len(wrong)} contradiction{'' if len(wrong) == 1 else 's'}."

    return change(action, token=token)


# -- the index


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these places. One of which nothing is stored is there as long as a
    policy's property stands in it, for which its list is wanting. Some five round trips for each: places are few, and
    the lists are long. Gives how many entries changed.
    """
    entries: dict[str, Entry | None] = dict.fromkeys(members)
    stored = _stored(client, members)
    for member in members:
        where = stored.get(member) or _bare(member)
        wrong = compare(client, where) if where else []
        if where and (member in stored or wrong):
            entries[member] = _entry(where, drifted=bool(wrong))
    return INDEX.settle(client, entries, force=force)


def all_of(client: Redis, *, limit: int = 50_000) -> list[str]:
    """Ids of the places. One round trip."""
    return client.zrange(INDEX.key("all", "zip"), 0, limit - 1)


def of_policies(client: Redis, members: Iterable[str]) -> list[str]:
    """Ids of the places in which these policies' property stands. Two round trips at most."""
    spots = {place_of(policy.property_address) for policy in _told(client, members).values()}
    return sorted(":".join(spot) for spot in spots if all(spot) and _names(":".join(spot)))


def of_zips(client: Redis, zips: Iterable[str]) -> list[str]:
    """Ids of the places that have these ZIPs. One round trip, none for no ZIPs."""
    wanted = sorted({number_score(each) for each in zips if each})
    pipe = client.pipeline(transaction=False)
    for score in wanted:
        pipe.zrange(INDEX.key("all", "zip"), score, score, byscore=True)
    return [member for found in answered(pipe) for member in found or ()] if wanted else []


def _entry(where: Place, *, drifted: bool) -> Entry:
    number = number_score(where.zip)
    risk = 0 if where.risk is None else min(max(int(where.risk), 0), 9_999_999)
    town = where.city.replace("_", " ")
    return Entry(
        {"city": where.city, "drift": DRIFTED if drifted else UNKNOWN},
        {"zip": number, "risk": risk * 1_000_000 + number % 1_000_000},
        {"name": [f"{town} {where.zip}", f"{where.zip} {town}"]},
    )


def words_of(client: Redis, members: Iterable[str]) -> dict[str, Mapping[str, Sequence[str]]]:
    return {member: _entry(where, drifted=False).words for member, where in load(client, members).items()}


def _indexed(client: Redis, zip_code: str) -> list[str]:
    """The home policies that the index has in this ZIP area. One round trip."""
    if not clean(zip_code):
        return []
    directory = agents.directory(client)
    wanted = {"zip": [zip_code], "branch": directory.visible(Scope()), "product": ["home"]}
    pipe = client.pipeline(transaction=False)
    for (name,) in policies.INDEX.plan(wanted):
        pipe.zrange(policies.INDEX.key(name, "number"), 0, MOST - 1)
    return [member for part in answered(pipe) for member in part or ()]


def _told(client: Redis, ids: Iterable[str]) -> dict[str, Policy]:
    wanted = [each for each, _, _ in keys.numbered(dict.fromkeys(ids))]
    return policies.load(client, wanted, fields=_TOLD_FIELDS, directory=_NOBODY) if wanted else {}


_TOLD_FIELDS = {product: (*fields, "status") for product, fields in _TOLD.items()}


def _homes(client: Redis, told: Iterable[Policy]) -> dict[str, tuple[str, str]]:
    """Where the customers of those without property live. One round trip."""
    wanted = [each.customer for each in told if each.customer and not all(place_of(each.property_address))]
    return {customer: place_of(text) for customer, text in customers.addresses(client, wanted).items()}


def _may_stand(policy: Policy, homes: Mapping[str, tuple[str, str]], here: tuple[str, str]) -> bool:
    own = place_of(policy.property_address)
    if all(own):
        return own == here
    home = homes.get(policy.customer or "", ("", ""))
    return home == here or not all(home)


def _names(member: str) -> dict[str, str] | None:
    city, _, zip_code = member.partition(":")
    if not keys.is_identifier(city) or not keys.is_identifier(zip_code):
        return None
    return {
        "policies": keys.location_policies(city, zip_code),
        "risk_score": keys.location_risk(city, zip_code),
    }
