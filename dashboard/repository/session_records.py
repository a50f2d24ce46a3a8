"""What a session is, as stored: its keys, what they say, and where it stands in the index.

Three kinds of things are sessions:

    customer:CUST001:portal      the customer's portal key, as other tools write it
    portal:CUST001:9f2c...       a portal session that was opened here; any number for each customer
    mobile:CUST001:device123     in the mobile or tablet app
    agent:AG001:workstation      a staff member's working day

Of the sessions opened here the store keeps the facts under `dash:session:...`, with the digest of their secret. The
customer's portal key has room for one: the latest (`dash:portal:<customer>` says which), and tells of it in the form
that other tools know. One that was overtaken lives on by its facts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository.index import NEVER, UNKNOWN, Entry, Index
from dashboard.repository.keyspace import StoredKey, stored
from dashboard.repository.values import (
    Problem,
    Raw,
    Reader,
    answered,
    comma_list,
    labelled,
    moment,
    read_strings,
    shorten,
)

Kind = Literal["portal", "mobile", "tablet", "workstation"]
KINDS: tuple[Kind, ...] = ("portal", "mobile", "tablet", "workstation")

# A portal session's lifetime follows its activity level (lines 207-218); the others have one each.
ACTIVITY_LIFE = {
    "normal": 30 * clock.MINUTE,
    "high": clock.HOUR,
    "idle": 15 * clock.MINUTE,
    "vip": 2 * clock.HOUR,
}
DEVICE_LIFE = 2 * clock.HOUR
WORKSTATION_LIFE = 8 * clock.HOUR

INDEX = Index(
    "sessions",
    patterns=((), ("kind",), ("person",), ("activity",)),
    sorts=("deadline",),
    domains={"kind": KINDS, "activity": (*ACTIVITY_LIFE, UNKNOWN)},
)


@dataclass(frozen=True)
class Session:
    """A session as its own keys tell it. What is missing or unreadable is None; `problems` says what is unreadable.

    id        e.g. agent:AG001:workstation, portal:CUST001:9f2c41d07e55a1b3, mobile:CUST001:device123
    device    what it runs on, in words; `device_id` names it, for the apps
    deadline  Unix ms; None: it has no end
    lifetime  ms from its beginning to its end, as far as that is known
    pinned    whether an admin, or another tool, chose its activity level, and no rule does
    latest    of a portal session, whether the customer's own keys tell of it
    branches, products, figures  of a workstation: what it is restricted to (None: not said), and the day's counts
    """

    id: str
    kind: Kind
    person: str
    device_id: str | None
    device: str | None
    address: str | None
    signed_in: datetime | None
    last_activity: datetime | None
    permissions: tuple[str, ...]
    activity: str | None
    branch: str | None
    deadline: int | None
    lifetime: int
    problems: tuple[Problem, ...]
    pinned: bool = False
    latest: bool = True
    branches: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None
    figures: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_staff(self) -> bool:
        return self.kind == "workstation"

    @property
    def ours(self) -> bool:
        """Whether it is a portal session that was opened here, of whose uses the rules of activity know."""
        return self.id.startswith("portal:")


# -- a secret, and what is kept of it


def reference(secret: str) -> str:
    """What the store keeps of a session's secret: whoever reads the keys cannot take the session over."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()[:32]


def is_secret_of(text: str, secret: str) -> bool:
    """Whether an anchor's text carries this secret's digest. Takes as long either way."""
    return hmac.compare_digest(labelled(text).get("ref", "").encode(errors="replace"), reference(secret).encode())


# -- what is kept of a session opened here


@dataclass(frozen=True)
class Facts:
    """A portal or app session opened here.

    text    what its anchor says, the secret's digest in it
    fields  device, permissions, last_activity, activity_level, address: as the customer's keys have them
    began   when it was opened; `seen` when it was used last; Unix ms
    uses    the latest uses, as far back as the rules of activity look; Unix ms
    pinned  whether its activity level was chosen by an admin
    """

    text: str
    fields: Mapping[str, str]
    began: int
    seen: int
    uses: tuple[int, ...] = ()
    pinned: bool = False

    def __str__(self) -> str:
        return json.dumps({**self.__dict__, "fields": dict(self.fields), "uses": list(self.uses)})

    def are_of(self, text: str) -> bool:
        """Whether an anchor's text is this session's: by the digest; where another tool wrote it anew without, by what
        it says of the beginning, or of the device.
        """
        told, own = labelled(text), labelled(self.text)
        if "ref" in told:
            return told["ref"] == own.get("ref")
        if "login_time" in own:
            return told.get("login_time") == own["login_time"]
        return text == _without_reference(self.text)


def facts_from(raw: Raw) -> Facts | None:
    """None for what is not there, or is nothing of ours."""
    try:
        kept = json.loads(raw) if isinstance(raw, str) else {}
        fields = {str(name): str(value) for name, value in kept["fields"].items()}
        uses = tuple(int(each) for each in kept["uses"])
        return Facts(str(kept["text"]), fields, int(kept["began"]), int(kept["seen"]), uses, bool(kept["pinned"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def device_of(facts: Facts, member: str) -> str | None:
    """What a session opened here runs on, in words."""
    return _device(facts.fields.get("device") if member.startswith("portal:") else facts.text)


def _without_reference(text: str) -> str:
    return "|".join(part for part in text.split("|") if not part.strip().startswith("ref:"))


# -- names


def names_of(member: str) -> dict[str, str]:
    """A session's keys by field; `anchor` and, of one opened here, `facts` are those it lives by. {} for what is no
    session's id.
    """
    parsed = keys.parse(f"session:{member}")
    facts = _facts_name(member)
    if parsed and parsed.subject == member:
        return {"anchor": _anchor(parsed), **_attributes(parsed), **facts}
    return {**portal_names(member.split(":")[1]), **facts} if facts else {}


def _facts_name(member: str) -> dict[str, str]:
    try:
        return {"facts": keys.session_facts(*member.split(":"))}
    except (keys.BadIdentifier, TypeError):
        return {}


def told_by(person: str) -> str:
    """The id of the portal session that a customer's own keys tell of, where it is another tool's."""
    return keys.portal.subject.format(person=person)


def portal_names(person: str) -> dict[str, str]:
    """The customer's portal keys by field, the anchor first."""
    return {"anchor": keys.portal(person)} | {name: keys.portal_field(person, name) for name in keys.PORTAL_FIELDS}


def _anchor(parsed: keys.Parsed) -> str:
    return parsed.family(*parsed.parts.values())


def _attributes(parsed: keys.Parsed) -> dict[str, str]:
    person = parsed.parts["person"]
    if parsed.family is keys.portal:
        return {name: keys.portal_field(person, name) for name in keys.PORTAL_FIELDS}
    if parsed.family is keys.workstation:
        return {name: keys.workstation_field(person, name) for name in keys.WORKSTATION_FIELDS}
    return {}


def identity(member: str) -> tuple[Kind, str, str | None]:
    """Kind, person, and the device's own number of an app session."""
    form, person, last = member.split(":")
    if form in keys.DEVICES:
        return form, person, last  # type: ignore[return-value]
    return ("workstation" if form == "agent" else "portal"), person, None


# -- reading


def load(client: Redis, ids: Sequence[str]) -> dict[str, Session]:
    """Sessions by id, those that live. Five round trips at most, however many."""
    found = {member: names for member in dict.fromkeys(ids) if (names := names_of(member))}
    if not found:
        return {}
    lived_by = sorted({names[part] for names in found.values() for part in ("anchor", "facts") if part in names})
    pipe = client.pipeline(transaction=False)
    for name in lived_by:
        pipe.pexpiretime(name)
    ends = dict(zip(lived_by, pipe.execute(), strict=True))
    customers = {identity(member)[1] for member in found if identity(member)[0] == "portal"}
    beside = [family(person) for person in sorted(customers) for family in (keys.portal_latest, keys.portal_ended)]
    beside += [keys.refs_ended(person) for kind, person, _ in map(identity, found) if kind != "portal"]
    every = dict.fromkeys([name for names in found.values() for name in names.values()] + beside)
    values = read_strings(client, list(every))
    _add_latest(client, customers, values)
    return {member: session for member, names in found.items() if (session := _read(member, names, values, ends))}


def own_facts(client: Redis, members: Sequence[str]) -> dict[str, tuple[Facts, int]]:
    """Of sessions opened here, by id: their facts, and when those end (Unix ms). One round trip."""
    pipe = client.pipeline(transaction=False)
    for member in members:
        pipe.get(names_of(member)["facts"])
        pipe.pexpiretime(names_of(member)["facts"])
    answers = answered(pipe)
    found = {
        member: (facts_from(raw), end) for member, raw, end in zip(members, answers[0::2], answers[1::2], strict=True)
    }
    return {member: (facts, end) for member, (facts, end) in found.items() if facts and end > 0}


def stored_as(client: Redis, member: str) -> list[StoredKey]:
    """The keys this session is made of. One round trip."""
    names = names_of(member)
    return stored(client, list(names.values())) if names else []


def _add_latest(client: Redis, customers: set[str], values: dict[str, Raw]) -> None:
    """The facts of the sessions that these customers' own keys tell of, as far as they were not read with the rest."""
    wanted = {name for person in customers if (name := _latest_facts(person, values))}
    values |= read_strings(client, sorted(wanted - values.keys()))


def _latest_facts(person: str, values: Mapping[str, Raw]) -> str | None:
    latest = values.get(keys.portal_latest(person))
    return (
        keys.session_facts("portal", person, latest) if isinstance(latest, str) and keys.is_identifier(latest) else None
    )


def _read(member: str, names: dict[str, str], values: dict[str, Raw], ends: Mapping[str, int]) -> Session | None:
    kind, person, _ = identity(member)
    text, there = values[names["anchor"]], ends[names["anchor"]] != -2
    own = facts_from(values.get(names["facts"])) if "facts" in names else None
    if member.startswith("portal:"):
        return _read_own_portal(member, names, values, ends, own)
    if text is None or not there:
        return None
    if kind == "portal" and _is_told_elsewhere(person, str(text), values):
        return None
    if kind != "portal" and is_ended(str(text), values.get(keys.refs_ended(person))):
        return None
    if own and not (isinstance(text, str) and own.are_of(text)):
        own = None
    return _session(member, names, values, _end(ends[names["anchor"]]), own)


def _read_own_portal(
    member: str, names: dict[str, str], values: dict[str, Raw], ends: Mapping[str, int], own: Facts | None
) -> Session | None:
    if own is None or ends[names["facts"]] == -2:
        return None
    _, person, number = member.split(":")
    text = values[names["anchor"]]
    if isinstance(text, str) and own.are_of(text):
        return _session(member, names, values, _end(ends[names["anchor"]]), own)
    if text is None and values.get(keys.portal_latest(person)) == number:
        return None  # another tool ended it by taking the customer's key away
    aside = {names[name]: own.fields.get(name) for name in keys.PORTAL_FIELDS}
    return _session(member, names, {names["anchor"]: own.text, **aside}, _end(ends[names["facts"]]), own, latest=False)


def _is_told_elsewhere(person: str, text: str, values: Mapping[str, Raw]) -> bool:
    """Whether the customer's portal key tells of a session opened here, or of one that was ended and is brought back."""
    pointed = _latest_facts(person, values)
    latest = facts_from(values.get(pointed)) if pointed else None
    return bool(latest and latest.are_of(text)) or is_brought_back(text, values.get(keys.portal_ended(person)))


def is_brought_back(text: str, ended: Raw) -> bool:
    """Whether a portal key's text is of a session that was ended (trap 20): it says that it began when that one did."""
    at = moment(labelled(text).get("login_time", ""))
    return at is not None and clock.iso(at) in remembered(ended)


def is_ended(text: str, ended: Raw) -> bool:
    """Whether an anchor's text carries the digest of a workstation or app session that was ended (trap 20)."""
    digest = labelled(text).get("ref", "")
    return bool(digest) and digest in remembered(ended)


def remembered(raw: Raw) -> list[str]:
    """What is kept of sessions that were ended: when they had begun, as their keys said it, or their digests."""
    try:
        kept = json.loads(raw) if isinstance(raw, str) else []
    except (ValueError, RecursionError):
        return []
    return [each for each in kept if isinstance(each, str) and each] if isinstance(kept, list) else []


def _end(deadline: int) -> int | None:
    return deadline if deadline > 0 else None


# -- the index


def entry(session: Session) -> Entry:
    return Entry(facets(session), {"deadline": NEVER if session.deadline is None else session.deadline})


def entry_for(kind: str, person: str, activity: str | None, deadline: int) -> Entry:
    return Entry(facets_for(kind, person, activity), {"deadline": deadline})


def facets(session: Session) -> dict[str, str]:
    return facets_for(session.kind, session.person, session.activity)


def facets_for(kind: str, person: str, activity: str | None) -> dict[str, str]:
    return {"kind": kind, "person": person, "activity": activity if activity in ACTIVITY_LIFE else UNKNOWN}  # type: ignore[dict-item]


# -- from what is stored


def _session(
    member: str,
    names: dict[str, str],
    values: dict[str, Raw],
    deadline: int | None,
    own: Facts | None,
    *,
    latest: bool = True,
) -> Session:
    reader = Reader(values, {name: key for name, key in names.items() if name != "facts"})
    kind, person, device_id = identity(member)
    text = reader.text("anchor") or ""
    labels = {} if device_id else labelled(text)
    kept = labelled(own.text) if own else {}
    activity = (reader.optional("activity_level", reader.text) or "").strip().lower() or None
    began = clock.moment(own.began) if own else None
    seen = [
        reader.optional("last_activity", reader.moment),
        _moment(reader, names["anchor"], labels, "last_activity"),
        clock.moment(own.seen) if own and device_id else None,
    ]
    told = own.fields if own else {}
    return Session(
        id=member,
        kind=kind,
        person=person,
        device_id=device_id,
        device=_device(text) if device_id else _device(reader.optional("device", reader.text)),
        address=labels.get("ip") or reader.optional("address", reader.text) or kept.get("ip") or told.get("address"),
        signed_in=_moment(reader, names["anchor"], labels, "login_time") or began,
        last_activity=max(filter(None, seen), default=None),
        permissions=tuple(comma_list(reader.optional("permissions", reader.text) or told.get("permissions"))),
        activity=activity,
        branch=labels.get("branch"),
        deadline=deadline,
        lifetime=_lifetime(kind, activity, deadline),
        problems=tuple(reader.problems),
        pinned=bool(own and (own.pinned or (activity and activity != own.fields.get("activity_level")))),
        latest=latest,
        branches=_listed(reader, "branch_access"),
        products=_listed(reader, "product_access"),
        figures=_figures(reader) if kind == "workstation" else {},
    )


def _listed(reader: Reader, name: str) -> tuple[str, ...] | None:
    text = reader.optional(name, reader.text)
    return None if text is None else tuple(comma_list(text))


def _figures(reader: Reader) -> dict[str, int]:
    counted = {name: reader.optional(name, reader.whole) for name in keys.WORKSTATION_FIELDS if name.endswith("_today")}
    return {name: count for name, count in counted.items() if count is not None}


def _lifetime(kind: Kind, activity: str | None, deadline: int | None) -> int:
    lives: dict[str, Any] = {"mobile": DEVICE_LIFE, "tablet": DEVICE_LIFE, "workstation": WORKSTATION_LIFE}
    usual = lives.get(kind) or ACTIVITY_LIFE.get(activity or "normal", ACTIVITY_LIFE["normal"])
    return max(usual, deadline - clock.now_ms()) if deadline else usual


def _moment(reader: Reader, key: str, labels: Mapping[str, str], label: str) -> datetime | None:
    text = labels.get(label)
    at = moment(text) if text else None
    if text and at is None:
        reader.problems.append(Problem(key, f"{label} is not a point in time: {shorten(text)}"))
    return at


def _device(text: str | None) -> str | None:
    """`iPhone 12|iOS 15.0|app_version:2.1.0` -> iPhone 12, iOS 15.0, app 2.1.0; never the secret's digest."""
    if not text:
        return None
    parts = [part.strip().replace("app_version:", "app ") for part in _without_reference(text).split("|")]
    return ", ".join(filter(None, parts)) or None
