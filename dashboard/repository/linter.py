"""The lifetime linter: what is wrong with a key's type and lifetime, as its family, its thing and its name tell.

A rule says what, why it matters and how it is put right. Nothing is put right that cannot be told from the key space
alone: audit records, values of another type that are a customer's, and unknown names are for somebody to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from redis import Redis

from dashboard import clock, keys
from dashboard.keys import Family, Parsed
from dashboard.repository import audit, families, holds, periods, quotes
from dashboard.repository.values import answered, read_strings

TOGETHER = 5 * clock.SECOND
"""Parts whose deadlines are no further from their root's share one: other tools type one command after another."""
MARGIN = clock.MINUTE
"""What a lifetime may exceed its family's longest by."""

RuleName = Literal[
    "never_ends", "ends", "too_late", "too_early", "outlives", "underlives", "ghost", "wrong_type", "unknown"
]  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """`why`: what is wrong and what comes of it; `fix`: how it is put right, "" for what somebody has to look at."""

    name: RuleName
    title: str
    why: str
    fix: str = ""


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("never_ends", "Should end, and do not",
             "Their family has a lifetime and they have none: they stay for ever, and what counts on their end never happens.",
             "Give them their root's deadline, or the longest lifetime of their family from now; a quote its own."),
        Rule("ghost", "Parts without their root",
             "What they were a part of is over, such as the risk level of a quote that ended. They tell of nothing any more.",
             "Delete them."),
        Rule("outlives", "Parts that outlive their root",
             "They will stay behind as ghosts when their root ends.",
             "Bring them to their root's deadline."),
        Rule("underlives", "Parts that end before their root",
             "Their thing goes on without them: half a quote, a session that lost its permissions.",
             "Bring them to their root's deadline."),
        Rule("ends", "Will vanish, and should stay",
             "Their family is permanent and they have a lifetime: a fact of a policy or customer will be gone.",
             "Take the lifetime away."),
        Rule("too_late", "End too late for their family",
             "They live longer than anything of their family should.",
             "Bring them to the longest lifetime of their family from now; a quote to its own."),
        Rule("too_early", "End too early for their family",
             "They were written to be kept longer than they will be, by the date in their names, or in a payment's text.",
             "Put their end off to the shortest that their family has, from that date."),
        Rule("wrong_type", "Of another type than they should be",
             "Whatever reads them finds nothing, or fails. What the dashboard can make anew is deleted; the rest has to be looked at.",
             "Delete those that manage.py reindex makes anew."),
        Rule("unknown", "Unknown names",
             "The catalogue has no family for these names: nobody here knows what they are or when they should end."),
    )
}  # fmt: skip


class Root(NamedTuple):
    """A thing's root: whether it is there, and its deadline (Unix ms, None: it stays)."""

    exists: bool
    deadline: int | None


@dataclass(frozen=True)
class Fact:
    """One key as it is: its deadline in Unix ms (None: it stays). `root`: that of the thing it is a part of. `settled`:
    whether it is rightly permanent, of a claim that was decided or kept by a legal hold. `begun`: when it was written at
    the earliest, as its name tells, or the text of a payment; Unix ms, None where neither does.
    """

    name: str
    parsed: Parsed | None
    type: str
    deadline: int | None
    root: Root | None = None
    settled: bool = False
    begun: int | None = None


class Remedy(NamedTuple):
    """What puts a key right; `deadline` in Unix ms for `until`."""

    verb: Literal["until", "persist", "delete"]
    deadline: int | None = None


# -- looking


def facts(client: Redis, names: Sequence[str]) -> list[Fact]:
    """Those of these keys that are there. Two round trips; one more where some have no end and should, another where
    there are payments.
    """
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
        pipe.pexpiretime(name)
    answers = pipe.execute() if names else []
    found = {name: (kind, _end(end)) for name, kind, end in zip(names, answers[0::2], answers[1::2], strict=True)}
    there = {name: keys.parse(name) for name, (kind, _) in found.items() if kind != "none"}
    roots, settled = _beside(client, [parsed for parsed in there.values() if parsed])
    lasting = [name for name, parsed in there.items() if parsed and parsed.family.lives and found[name][1] is None]
    held = holds.held(client, lasting)
    told = _told(client, [name for name, parsed in there.items() if parsed and parsed.family is keys.payment_audit])
    return [
        Fact(
            name,
            parsed,
            *found[name],
            root=roots.get(families.root_of(parsed) or "") if parsed else None,
            settled=name in held or bool(parsed and parsed.parts.get("claim") in settled),
            begun=told.get(name, written(parsed) if parsed else None),
        )
        for name, parsed in there.items()
    ]


def _beside(client: Redis, parsed: Sequence[Parsed]) -> tuple[dict[str, Root], set[str]]:
    """The roots of all parts among these, and the claims that were decided. One round trip, none where there are none."""
    roots = list(dict.fromkeys(root for each in parsed if (root := families.root_of(each))))
    investigated = (keys.investigation, keys.investigation_field)
    claims = list(dict.fromkeys(each.parts["claim"] for each in parsed if each.family in investigated))
    pipe = client.pipeline(transaction=False)
    for root in roots:
        pipe.pexpiretime(root)
    for claim in claims:
        pipe.exists(keys.claim_field(claim, "status"))
    answers = answered(pipe) if roots or claims else []
    ends, decided = answers[: len(roots)], answers[len(roots) :]
    return (
        {root: Root(end != -2, _end(end)) for root, end in zip(roots, ends, strict=True)},
        {claim for claim, there in zip(claims, decided, strict=True) if there},
    )


def _told(client: Redis, payments: Sequence[str]) -> dict[str, int]:
    """When these were written at the earliest, as their texts tell. One round trip, none for no names."""
    texts = read_strings(client, payments)
    return {name: _anywhere(audit.told_moment(text)) for name, text in texts.items() if isinstance(text, str)}


def _anywhere(day: datetime) -> int:
    """The earliest moment at which it was this day somewhere: other tools have clocks of their own."""
    return clock.ms(day) - 14 * clock.HOUR


def _end(answer: int) -> int | None:
    return answer if answer >= 0 else None


# -- judging


def judged(fact: Fact, now: int) -> RuleName | None:
    """The rule that this key breaks, the gravest; None where it is in order. `now`: Unix ms."""
    if fact.parsed is None:
        return "unknown"
    family = fact.parsed.family
    if fact.type != family.kind:
        return "wrong_type"
    if fact.root is not None:
        return _of_part(fact, fact.root)
    if family.lives is None:
        return "ends" if fact.deadline is not None else None
    if fact.deadline is None:
        return None if fact.settled else "never_ends"
    if fact.deadline > now + family.lives[1] * clock.SECOND + MARGIN:
        return "too_late"
    if fact.begun is not None and fact.deadline < fact.begun + family.lives[0] * clock.SECOND - MARGIN:
        return "too_early"
    return None


def _of_part(fact: Fact, root: Root) -> RuleName | None:
    if not root.exists:
        return None if fact.settled else "ghost"
    if root.deadline is None:
        # A root that stays though it should not is the finding; its parts follow it once that is mended.
        return "underlives" if fact.settled and fact.deadline is not None else None
    if fact.deadline is None and fact.settled:
        return None
    if fact.deadline is None or fact.deadline > root.deadline + TOGETHER:
        return "outlives"
    return "underlives" if fact.deadline < root.deadline - TOGETHER else None


def written(parsed: Parsed) -> int | None:
    """When it was written at the earliest, as its name tells; Unix ms, None where it does not."""
    stamp = parsed.parts.get("stamp")
    if stamp:
        try:
            return _anywhere(datetime.strptime(stamp[:8], "%Y%m%d").replace(tzinfo=UTC))
        except ValueError:
            return None
    period = _period(parsed)
    return clock.end_of_day(period.first - timedelta(days=1)) if period else None


def _period(parsed: Parsed) -> periods.Period | None:
    name = next((parsed.parts[slot] for slot in ("date", "week", "month", "quarter") if slot in parsed.parts), None)
    return periods.named(name) if name and parsed.family.area == "metrics" else None


# -- putting right


def remedy(client: Redis, fact: Fact, rule: str, now: int) -> Remedy | None:
    """What puts this key right; None for what is not put right from here. One round trip or four for a quote's root."""
    parsed = fact.parsed
    if parsed is None:
        return None
    if rule == "wrong_type":
        return Remedy("delete") if parsed.family.rebuilt else None
    if families.is_record(parsed):
        return _of_record(fact, rule)
    if rule == "ghost":
        return Remedy("delete")
    if rule == "ends":
        return Remedy("persist")
    if rule in ("outlives", "underlives") and fact.root is not None:
        return Remedy("persist") if fact.root.deadline is None else Remedy("until", fact.root.deadline)
    if rule in ("never_ends", "too_late"):
        return Remedy("until", _longest(client, parsed, now))
    return _of_record(fact, rule)


def _of_record(fact: Fact, rule: str) -> Remedy | None:
    """A record's end is put off, never brought nearer."""
    lives = fact.parsed.family.lives if fact.parsed else None
    if rule != "too_early" or fact.begun is None or lives is None:
        return None
    return Remedy("until", fact.begun + lives[0] * clock.SECOND + 14 * clock.HOUR)


def _longest(client: Redis, parsed: Parsed, now: int) -> int:
    """The latest deadline that a key of this kind should have."""
    if parsed.family is keys.quote:
        found = quotes.load(client, [parsed.subject or ""])
        life = next(iter(found.values())).lifetime if found else _lives(parsed.family)[0] * clock.SECOND
        return now + life
    period = _period(parsed)
    if period is not None and period.deadline > now:
        return period.deadline
    return now + _lives(parsed.family)[1] * clock.SECOND


def _lives(family: Family) -> tuple[int, int]:
    return family.lives or (0, 0)


def found_in(client: Redis, names: Sequence[str], rule: str) -> Iterator[str]:
    """Those of these keys that break this rule and can be put right. Three round trips; four more for a quote's root."""
    now = clock.now_ms()
    for fact in facts(client, names):
        if judged(fact, now) == rule and remedy(client, fact, rule, now):
            yield fact.name
