"""Compliance reviews: a policy is looked at within thirty days, and what is found goes on record (the document, line 290).

    compliance:review:policy:auto:100001   string  Pending regulatory review | Reason: ... | Opened: ... | By: SUP001
    dash:review:auto:100001                hash    text, deadline; ended, how, by, note once it is over

The key ends when the review is decided; the decision stands in the policy's audit records. One that the store ended
undecided, or that another tool took away, is kept in its snapshot, listed as lapsed, and can still be decided.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.repository import audit, holds, policies
from dashboard.repository.index import NEVER, Cursor, Entry, Index, Page
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered, fits_text, labelled, moment, readable

Stage = Literal["pending", "lapsed", "cleared", "action"]
STAGES: tuple[Stage, ...] = ("pending", "lapsed", "cleared", "action")
Outcome = Literal["cleared", "action"]
OUTCOMES: dict[Outcome, str] = {"cleared": "cleared", "action": "action needed"}

LIFE = 30 * clock.DAY
URGENT, CRITICAL = 7 * clock.DAY, clock.DAY
"""ms before its end at which a review is escalated, and at which it is pressing."""
KEPT = keys.YEAR * clock.SECOND
"""ms that a review is kept beyond its end."""
LONGEST = 500
"""Characters of a reason or a note."""
_OPENING = "Pending regulatory review"

INDEX = Index("reviews", patterns=((), ("stage",)), sorts=("deadline",), domains={"stage": STAGES})


@dataclass(frozen=True)
class Review:
    """A policy's latest review.

    text      the key's own line
    deadline  Unix ms at which it lapses, None for one without (it is held, or another tool left it so) or that is over
    ended     when it lapsed or was decided; `by` and `note` of who decided, of who opened it while it is pending
    removed   whether it was taken away before its time
    """

    product: str
    number: str
    stage: Stage
    text: str
    reason: str
    opened: datetime | None
    by: str
    note: str = ""
    deadline: int | None = None
    ended: datetime | None = None
    removed: bool = False
    readable: bool = True

    @property
    def id(self) -> str:
        return f"{self.product}:{self.number}"

    @property
    def key(self) -> str:
        return keys.compliance_review(self.product, self.number)

    @property
    def lifetime(self) -> int:
        return LIFE

    @property
    def urgency(self) -> str:
        """`urgent` a week before its end, `critical` a day before."""
        if self.stage != "pending" or self.deadline is None:
            return ""
        left = self.deadline - clock.now_ms()
        return "critical" if left <= CRITICAL else "urgent" if left <= URGENT else ""

    @property
    def is_open(self) -> bool:
        """Whether it waits for a decision, in time or not."""
        return self.stage in ("pending", "lapsed")

    @property
    def seen(self) -> str:
        """A fingerprint of what a form was made from."""
        return f"{zlib.crc32(f'{self.stage}|{self.text}|{self.ended}'.encode(errors='surrogateescape')):x}"


@dataclass(frozen=True)
class Counts:
    """How many reviews are pending, of these within a week and within a day of their end, lapsed, and decided."""

    pending: int
    urgent: int
    critical: int
    lapsed: int
    decided: int


# -- reading


def listing(
    client: Redis, stages: Sequence[Stage], *, within: int | None = None, cursor: Cursor | None = None, size: int = 50
) -> Page[Review]:
    """Reviews at these stages: pending ones by their end, others the latest first. `within`: ms from now in which they
    end. Four round trips at most.
    """
    return INDEX.things(
        client, {"stage": list(stages)}, "deadline", size, load=partial(load, client),
        facets=lambda review: {"stage": review.stage}, refresh=refresh, cursor=cursor,
        high=None if within is None else clock.now_ms() + within,
    )  # fmt: skip


def counts(client: Redis) -> Counts:
    """One round trip."""
    now = clock.now_ms()
    pending: dict[str, Sequence[str]] = {"stage": ["pending"]}
    return Counts(
        *INDEX.count(
            client,
            [
                (pending, "deadline", None, None),
                (pending, "deadline", None, now + URGENT),
                (pending, "deadline", None, now + CRITICAL),
                ({"stage": ["lapsed"]}, "deadline", None, None),
                ({"stage": ["cleared", "action"]}, "deadline", None, None),
            ],
        )
    )


def get(client: Redis, product: str, number: str) -> Review:
    """Raises NotFound. One round trip."""
    found = load(client, [f"{product}:{number}"]).get(f"{product}:{number}")
    if not found:
        raise NotFound(f"No review of the {product[:20]} policy {number[:64]} is on record.")
    return found


def load(client: Redis, members: Sequence[str]) -> dict[str, Review]:
    """By id, those that are pending or kept. One round trip."""
    read = _read(client, members)
    return {member: review for member, stands in read.items() if (review := _review(member, *stands))}


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring snapshots and index in step with the truth for these. Four round trips, six more for each review whose
    snapshot tells something else.
    """
    for member, (text, end, kept) in _read(client, members).items():
        if _differs(text, end, kept):
            _keep(member)

    def read(members: Sequence[str]) -> Mapping[str, Entry | None]:
        return {member: _entry(review) for member, review in load(client, members).items()}

    return INDEX.follow(client, members, read, force=force)


# -- writing


def begin(product: str, number: str, reason: str, *, by: str, token: str | None = None) -> str:
    """Open a review of a policy, for thirty days. Gives a sentence. Raises Invalid, NotFound, Conflict (there is one)."""
    reason = reason.strip()
    _check({"reason": _bad_text(reason)})
    member = f"{product}:{number}"

    def action(draft: Change) -> str:
        name, snapshot = _keys(member)
        draft.watch(name, snapshot)
        if member not in policies.load(draft.client, [member]):
            raise NotFound(f"There is no {product} policy {number}.")
        if draft.client.exists(name):
            raise Conflict(f"The {product} policy {number} is under review already. Decide that one first.")
        now = clock.now_ms()
        text = f"{_OPENING} | Reason: {reason} | Opened: {clock.iso(clock.moment(now))} | By: {by}"
        draft.set_once(name, text, now + LIFE)
        _record(draft, member, {"text": text, "deadline": str(now + LIFE), "seen": str(now)}, now + LIFE + KEPT)
        audit.append(draft, audit.POLICY, product, number, text=f"Review opened by {by}: {reason}", by=by)
        _index(draft, member, _pending(now + LIFE))
        return f"The {product} policy {number} is under review for 30 days."

    return change(action, token=token)


def decide(
    product: str, number: str, outcome: Outcome, note: str, *, seen: str, by: str, token: str | None = None
) -> str:
    """Decide a review, in time or lapsed: its key ends, its decision goes on record. `seen`: the `Review.seen` that was
    looked at. Gives a sentence. Raises Invalid, NotFound, Conflict (decided or begun anew meanwhile, or held).
    """
    note = note.strip()
    wrong = _bad_text(note) if note or outcome == "action" else ""
    _check({"note": wrong, "outcome": "" if outcome in OUTCOMES else "Choose one."})
    member = f"{product}:{number}"

    def action(draft: Change) -> str:
        name, snapshot = _keys(member)
        draft.watch(name, snapshot, keys.held())
        review = get(draft.client, product, number)
        if not review.is_open:
            raise Conflict(f"{review.by} has decided it already: {OUTCOMES[review.stage]}.")  # type: ignore[index]
        if review.seen != seen:
            raise Conflict("It is another than it was when you looked. Nothing was decided; look again.")
        if holds.held(draft.client, [name]):
            raise Conflict("It is under legal hold. Once that is released, it can be decided.")
        now = clock.now_ms()
        late = " after it had lapsed" if review.stage == "lapsed" else ""
        draft.delete(name)
        facts = {"text": review.text, "how": outcome, "ended": str(now), "by": by, "note": note}
        _record(draft, member, facts, now + KEPT)
        told = f": {note}" if note else ""
        words = f"Review decided{late} by {by}: {OUTCOMES[outcome]}{told} (it was: {review.text[:300]})"
        audit.append(draft, audit.POLICY, product, number, text=words, by=by)
        _index(draft, member, _over(outcome, now))
        return f"The review of the {product} policy {number} is decided: {OUTCOMES[outcome]}."

    return change(action, token=token)


def _record(draft: Change, member: str, facts: Mapping[str, str], until: int) -> None:
    """The snapshot anew; whatever another tool put in its place goes."""
    _, snapshot = _keys(member)
    draft.delete(snapshot)
    draft.record("HSET", snapshot, *(part for pair in facts.items() for part in pair))
    draft.expire_at(until, snapshot)


def _index(draft: Change, member: str, entry: Entry) -> None:
    INDEX.put(draft, member, entry, INDEX.known_places(draft.client, [member])[member])
    draft.event("reviews", member)


def _keep(member: str) -> None:
    """Bring a snapshot in step. Watched: a decision of the same moment is not taken back by what was read before it."""

    def action(draft: Change) -> None:
        name, snapshot = _keys(member)
        draft.watch(name, snapshot)
        text, end, kept = _read(draft.client, [member])[member]
        now = clock.now_ms()
        if not _differs(text, end, kept):
            return
        if end != -2:
            first = now if "how" in kept or "ended" in kept else kept.get("seen", now)
            deadline = str(end) if end > 0 else ""
            facts = {"text": text or "", "deadline": deadline, "seen": str(first)}
            _record(draft, member, facts, max(end, now) + KEPT)
        else:
            draft.record("HSET", snapshot, "ended", str(min(_ms(kept.get("deadline")) or now, now)))

    change(action)


# -- from what is stored


def _keys(member: str) -> tuple[str, str]:
    product, _, number = member.partition(":")
    try:
        return keys.compliance_review(product, number), keys.review_snapshot(product, number)
    except keys.BadIdentifier as error:
        raise NotFound("There is no such policy.") from error


Stands = tuple[str | None, int, Mapping[str, str]]
"""A review's text, its key's end (PEXPIRETIME), its snapshot."""


def _read(client: Redis, members: Sequence[str]) -> dict[str, Stands]:
    """One round trip. The text is None where the key is gone, or holds another type."""
    named = {f"{product}:{number}" for _, product, number in keys.numbered(members)}
    known = [member for member in members if member in named]
    pipe = client.pipeline(transaction=False)
    for member in known:
        name, snapshot = _keys(member)
        pipe.get(name).pexpiretime(name).hgetall(snapshot)
    answers = answered(pipe) if known else []
    rows = zip(known, answers[0::3], answers[1::3], answers[2::3], strict=True)
    return {member: (text, end, kept or {}) for member, text, end, kept in rows}


def _differs(text: str | None, end: int, kept: Mapping[str, str]) -> bool:
    """Whether the snapshot tells something else than the key."""
    if end == -2:
        return bool(kept) and not {"how", "ended"} & kept.keys()
    known = (kept.get("text"), kept.get("deadline"), "how" in kept or "ended" in kept)
    return known != (text or "", str(end) if end > 0 else "", False)


def _review(member: str, text: str | None, end: int, kept: Mapping[str, str]) -> Review | None:
    if end == -2 and not kept:
        return None
    pending = end != -2
    line = readable((text or "") if pending else kept.get("text", ""))[:2_000]
    told = labelled(line)
    product, _, number = member.partition(":")
    ended, planned = _ms(kept.get("ended")), _ms(kept.get("deadline"))
    how = kept.get("how")
    stage: Stage = "pending" if pending else how if how in OUTCOMES else "lapsed"  # type: ignore[assignment]
    decided = stage in OUTCOMES
    seen = _ms(kept.get("seen"))
    over = None if pending else ended or min(planned or clock.now_ms(), clock.now_ms())
    return Review(
        product=product,
        number=number,
        stage=stage,
        text=line,
        reason=told.get("reason") or told.get("", "") or "No reason is told",
        opened=moment(told.get("opened", "")) or (clock.moment(seen) if seen else None),
        by=readable(kept.get("by", ""))[:64] if decided else told.get("by", ""),
        note=readable(kept.get("note", ""))[:LONGEST],
        deadline=end if end > 0 else None,
        ended=clock.moment(over) if over else None,
        removed=stage == "lapsed" and over is not None and (planned is None or over < planned - clock.SECOND),
        readable=not pending or text is not None,
    )


def _entry(review: Review) -> Entry:
    if review.stage == "pending":
        return _pending(review.deadline)
    return _over(review.stage, clock.ms(review.ended) if review.ended else 0)


def _pending(deadline: int | None) -> Entry:
    return Entry({"stage": "pending"}, {"deadline": NEVER if deadline is None else deadline})


def _over(stage: Stage, ended: int) -> Entry:
    # Behind all that are pending, the latest first, and never due.
    return Entry({"stage": stage}, {"deadline": NEVER - max(ended, 0)})


def _ms(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 15 else None


def _bad_text(text: str) -> str:
    if not text:
        return "Say why, in a line."
    if len(text) > LONGEST or not fits_text(text):
        return f"One line of at most {LONGEST} characters, without |."
    return ""


def _check(wrong: Mapping[str, str]) -> None:
    found = {name: words for name, words in wrong.items() if words}
    if found:
        raise Invalid(found)
