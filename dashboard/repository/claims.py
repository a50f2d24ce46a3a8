"""Claims: a reported loss lives 7 days (`claim:temp:*`), under investigation 30 (`investigation:*`), decided for ever.

A claim is at one of four stages, told from its own keys, whoever wrote them. Each step from one to the next is one
transaction: what was known is carried along, and all keys of an undecided claim share one deadline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid, NotFound
from dashboard.repository import agents, audit, customers, metrics, policies
from dashboard.repository.agents import Directory, Scope
from dashboard.repository.claim_records import (
    INVESTIGATION_LABELS,
    INVESTIGATION_LIFE,
    LABELS,
    REPORTED_LIFE,
    STAGES,
    UNDECIDED,
    Claim,
    Record,
    Stage,
    all_keys,
    claim_of,
    investigation_parts,
    is_number,
    is_policy,
    passing_keys,
    read,
)
from dashboard.repository.index import NEVER, UNKNOWN, Cursor, Entry, Index, Page, Slice, clean
from dashboard.repository.keyspace import StoredKey, stored
from dashboard.repository.store import Change, change, next_number
from dashboard.repository.values import (
    LONGEST,
    distinct,
    dollars,
    fits_text,
    plain,
    shorten,
)

LARGEST = Decimal(1_000_000_000)
"""Dollars; more than this is a slip of the hand."""

_POLICY_FIELDS = dict.fromkeys(keys.PRODUCTS, ("agent", "customer"))
_LATEST = 4_000_000_000_000
"""Unix ms (the year 2096) that no decision is later than."""

INDEX = Index(
    "claims",
    patterns=((), ("stage", "branch", "product"), ("policy",), ("customer",), ("adjuster",)),
    # Undecided claims by their deadline, soonest first; then, beyond NEVER, the decided ones, newest first.
    sorts=("deadline",),
    domains={"stage": STAGES, "product": (*keys.PRODUCTS, UNKNOWN)},
)


@dataclass(frozen=True)
class Filter:
    """What the claims shown are restricted to. `product` UNKNOWN ("") means those of no known policy."""

    product: str | None = None
    customer: str | None = None
    adjuster: str | None = None


@dataclass(frozen=True)
class Column:
    """The head of one stage's claims. `total` counts all of them, `shown_amount` adds the amounts of `rows` alone."""

    stage: Stage
    rows: list[Claim]
    total: int

    @property
    def shown_amount(self) -> Decimal:
        return sum((row.amount for row in self.rows if row.amount is not None), Decimal(0))

    @property
    def hidden(self) -> int:
        return max(self.total - len(self.rows), 0)


# -- reading


def get(client: Redis, number: str) -> Claim:
    """One claim. Raises NotFound, or Expired when only its history is left. Four to eight round trips."""
    found = load(client, [number]) if is_number(number) else {}
    if number not in found:
        raise _gone(client, number)
    return _with_names(client, [found[number]])[0]


def load(client: Redis, numbers: Iterable[str], *, directory: Directory | None = None) -> dict[str, Claim]:
    """Claims by number, those that exist in any form. Two round trips for their own keys, and up to three for the
    policies of those that do not name their agent or customer.
    """
    directory = directory or agents.directory(client)
    records = read(client, [number for number in numbers if is_number(number)])
    return _with_policies(client, [claim_of(record, directory) for record in records if record.exists], directory)


def pipeline(client: Redis, scope: Scope, wanted: Filter, *, size: int = 12) -> list[Column]:
    """The four stages, each with the first `size` of its claims: undecided ones by the time left to them, decided ones
    newest first. Ten round trips or so, whatever the number of claims.
    """
    directory = agents.directory(client)
    places = [_facets(scope, directory, wanted, stage) for stage in STAGES]
    slices, loaded = _slices(client, places, size, directory)
    named = {claim.number: claim for claim in _with_names(client, list(loaded.values()))}
    return [
        Column(stage, [named[number] for number in found.members if number in named], found.total)
        for stage, found in zip(STAGES, slices, strict=True)
    ]


def listing(
    client: Redis, scope: Scope, wanted: Filter, stage: Stage, *, cursor: Cursor | None = None, size: int = 50
) -> Page[Claim]:
    """One page of one stage's claims, in the pipeline's order. Seven round trips or so."""
    directory = agents.directory(client)
    return _page(client, _facets(scope, directory, wanted, stage), size, directory, cursor=cursor)


def totals(client: Redis, scope: Scope, wanted: Filter, *, stages: Sequence[Stage] = STAGES) -> dict[str, int]:
    """How many claims at these stages there are of each product this person may see, UNKNOWN among them; nothing where
    a list restricted to one customer or adjuster would have to be made for it. Two round trips.
    """
    if wanted.customer or wanted.adjuster:
        return {}
    directory = agents.directory(client)
    products = _products(scope)
    places = [_facets(scope, directory, Filter(product=product), *stages) for product in products]
    counts = INDEX.count(client, [(facets, "deadline", None, None) for facets in places])
    return dict(zip(products, counts, strict=True))


def urgent(client: Redis, scope: Scope, *, within: int = clock.DAY) -> int:
    """How many undecided claims the store will drop within so many ms. Two round trips."""
    directory = agents.directory(client)
    now = clock.now_ms()
    return INDEX.count(client, [(_facets(scope, directory, Filter(), *UNDECIDED), "deadline", now, now + within)])[0]


def ending_soon(client: Redis, scope: Scope, size: int = 5, *, within: int | None = None) -> Page[Claim]:
    """Undecided claims whose record the store will drop, the soonest first; `within` so many ms from now."""
    directory = agents.directory(client)
    high = NEVER - 1 if within is None else clock.now_ms() + within
    return _page(client, _facets(scope, directory, Filter(), *UNDECIDED), size, directory, high=high)


def for_policy(client: Redis, scope: Scope, policy: str, *, size: int = 20) -> list[Claim]:
    """The claims on one policy (`auto:100001`): the undecided first, then the latest decided. Six round trips."""
    directory = agents.directory(client)
    found = _page(client, {"policy": [_policy_facet(policy)]}, size, directory)
    return [claim for claim in found.rows if claim.policy == policy and scope.sees(claim.product, claim.branch)]


def stored_as(client: Redis, number: str) -> list[StoredKey]:
    """The keys this claim is made of. One round trip."""
    return stored(client, all_keys(number))


# -- the steps of a claim's life


def report(
    *,
    summary: str,
    by: str,
    policy: str | None = None,
    customer: str | None = None,
    agent: str | None = None,
    reporter: str | None = None,
    incident_date: datetime | None = None,
    location: str | None = None,
    estimated_amount: Decimal | None = None,
    token: str | None = None,
) -> str:
    """First notice of loss. Gives the claim's number, e.g. `CLM004`. Raises Invalid.

    Whatever is not known is left out; the agent and the customer are the policy's where they are not given.
    """
    _check_report(summary, policy, customer, agent, reporter, location, incident_date, estimated_amount)

    def action(draft: Change) -> str:
        owner, holder = _of_policy(draft, policy, agent, customer)
        number = _free_number(draft)
        rewrite = _Rewrite(draft, Record(number, {}, {}), clock.now_ms() + REPORTED_LIFE)
        text = _report_text(summary, holder, estimated_amount)
        rewrite.put(keys.claim_temp(number), text)
        facts = {
            "reporter": reporter or holder,
            "incident_date": clock.iso(incident_date) if incident_date else None,
            "location": location,
            "policy": policy,
            "customer": holder,
            "agent": owner,
            "estimated_amount": plain(estimated_amount) if estimated_amount is not None else None,
        }
        for name, value in facts.items():
            if value:
                rewrite.put(keys.claim_temp_field(number, name), value)
        product = policy.partition(":")[0] if policy else None
        metrics.add(draft, {"claims_filed": 1}, product=product, agent=owner)
        # The record may end with nobody having looked at it: all that was told stays in the history.
        told = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value)
        rewrite.finish(f"Reported by {by}: {text} ({told})" if told else f"Reported by {by}: {text}")
        return number

    return change(action, token=token)


def assign(
    number: str,
    adjuster: str,
    *,
    by: str,
    estimate: Decimal | None = None,
    instead_of: str | None = None,
    token: str | None = None,
) -> str:
    """Put an adjuster on a claim: its record is carried to the investigation's 30 days, all keys to one deadline.
    Another adjuster in place of `instead_of` goes on with the time there is. Gives the adjuster.
    Raises Conflict (decided, or assigned to somebody else meanwhile), NotFound, Expired, Invalid.
    """
    _check({"adjuster": _bad_identifier(adjuster, required=True), "estimate": _bad_amount(estimate)})

    def action(draft: Change) -> str:
        record, claim = _undecided(draft, number)
        if claim.adjuster != (instead_of or None):
            whom = f"is assigned to {claim.adjuster}" if claim.adjuster else "has no adjuster any more"
            raise Conflict(f"Claim {number} {whom} by now. Nothing was changed; look again.")
        fresh = clock.now_ms() + INVESTIGATION_LIFE
        latest = record.latest(passing_keys(number))
        deadline = max(fresh, latest or 0) if claim.adjuster is None else latest or fresh
        rewrite = _Rewrite(draft, record, deadline)
        rewrite.put(keys.investigation_field(number, "adjuster"), adjuster)
        rewrite.put(keys.investigation_field(number, "status"), "IN_PROGRESS")
        _put_estimate(rewrite, claim.estimated if estimate is None else estimate)
        _put_investigation(rewrite, adjuster, claim.photos, claim.witness_statements)
        rewrite.align()
        rewrite.finish(f"Assigned to {adjuster} by {by}" + (f" instead of {claim.adjuster}" if claim.adjuster else ""))
        return adjuster

    return change(action, token=token)


def update_investigation(
    number: str,
    *,
    by: str,
    photos: int | None = None,
    witness_statements: int | None = None,
    estimate: Decimal | None = None,
    notes: str = "",
    seen: str | None = None,
    token: str | None = None,
) -> str:
    """What the adjuster found. The record keeps its deadline, and what had another one is brought to it. Gives what
    was changed, in words. None leaves a figure as it is; `notes` are the whole notes, "" takes them away.
    `seen` is the Claim.seen that the editor looked at. Raises Conflict, NotFound, Expired, Invalid.
    """
    _check(
        {
            "photos": _bad_count(photos),
            "witness_statements": _bad_count(witness_statements),
            "estimate": _bad_amount(estimate),
            "notes": _bad_notes(notes),
        }
    )

    def action(draft: Change) -> str:
        record, claim = _undecided(draft, number)
        if claim.stage != "investigating":
            raise Conflict(f"Claim {number} is not under investigation yet: assign an adjuster first.")
        if seen is not None and claim.seen != seen:
            raise Conflict("Somebody changed this claim while you were editing. Look at what is new, then save again.")
        after = replace(
            claim,
            photos=claim.photos if photos is None else photos,
            witness_statements=claim.witness_statements if witness_statements is None else witness_statements,
            estimated=claim.estimated if estimate is None else estimate,
            notes=notes or None,
        )
        words = _changes(claim, after)
        if not words:
            return "Nothing was changed."
        rewrite = _Rewrite(draft, record, record.latest(passing_keys(number)))
        if after.estimated != claim.estimated:
            _put_estimate(rewrite, after.estimated)
        if after.notes != claim.notes:
            rewrite.put(keys.investigation_field(number, "notes"), notes)
        _put_investigation(rewrite, after.adjuster, after.photos, after.witness_statements)
        rewrite.align()
        rewrite.finish(f"{words} by {by}")
        return f"{words}."

    return change(action, token=token)


def approve(number: str, final_amount: Decimal, *, by: str, token: str | None = None) -> str:
    """Approve a claim under investigation with what will be paid, in dollars. Gives a sentence.
    Raises Conflict (decided by somebody else, or nobody investigated), NotFound, Expired, Invalid.
    """
    _check({"final_amount": _bad_amount(final_amount, required=True)})

    def action(draft: Change) -> str:
        record, claim = _undecided(draft, number)
        if claim.stage != "investigating":
            raise Conflict(f"Claim {number} is not under investigation yet: assign an adjuster first.")
        decision = {"final_amount": plain(final_amount), "approval_date": clock.iso(clock.now())}
        words = f"Approved by {by} with {dollars(final_amount)}"
        _decide(draft, record, claim, "APPROVED", decision, words, paid=final_amount)
        return f"Claim {number} was approved with {dollars(final_amount)}."

    return change(action, token=token)


def deny(number: str, reason: str, *, by: str, token: str | None = None) -> str:
    """Deny a claim that is reported or under investigation. Gives a sentence.
    Raises Conflict (decided by somebody else), NotFound, Expired, Invalid.
    """
    reason = reason.strip()
    _check({"reason": _bad_text(reason, required=True, longest=500)})

    def action(draft: Change) -> str:
        record, claim = _undecided(draft, number)
        decision = {"denial_reason": reason, "denial_date": clock.iso(clock.now())}
        _decide(draft, record, claim, "DENIED", decision, f"Denied by {by}", reason=reason)
        return f"Claim {number} was denied."

    return change(action, token=token)


def _decide(
    draft: Change,
    record: Record,
    claim: Claim,
    status: str,
    decision: Mapping[str, str],
    words: str,
    *,
    paid: Decimal | None = None,
    reason: str = "",
) -> None:
    """Make the record permanent: what is known is copied before the temporary keys go (the customer's own commands
    lose incident, place and reporter), and all of the investigation stays (theirs keep two keys of four).
    """
    number = record.number
    rewrite = _Rewrite(draft, record, None)
    details = _details(record.summary or "Claim", claim.policy, paid, status)
    facts = {**record.known(claim), **decision, "details": details, "status": status}
    for name, value in facts.items():
        rewrite.put(keys.claim_field(number, name), value)
    rewrite.drop(keys.claim_temp_keys(number))
    # All four and the notes, whether another tool has written them or not: PERSIST of a missing key does nothing.
    rewrite.keep(keys.investigation_keys(number))
    if record.has_any(keys.investigation_keys(number)):
        rewrite.put(keys.investigation_field(number, "status"), "CLOSED")
    told = shorten(details, LONGEST)
    rewrite.finish(f"{words}: {reason} ({told})" if reason else f"{words}: {told}")


def _undecided(draft: Change, number: str) -> tuple[Record, Claim]:
    """The claim as it stands, watched with its policy, every key of the right type. Raises Conflict for a decided one,
    and says who decided what. Ten round trips or so.
    """
    if not is_number(number):
        raise NotFound(f"There is no claim {shorten(number)}.")
    names = all_keys(number)
    draft.watch(*names)
    directory = agents.directory(draft.client)
    (record,) = read(draft.client, [number])
    if not record.exists:
        raise _gone(draft.client, number)
    claim = claim_of(record, directory)
    if claim.policy:
        draft.watch(*keys.policy_keys(*claim.policy.split(":", 1)))
    claim = _with_policies(draft.client, [claim], directory)[number]
    if claim.is_decided:
        raise Conflict(_who_decided(draft.client, claim))
    draft.require("string", names)
    return record, claim


def _who_decided(client: Redis, claim: Claim) -> str:
    history = audit.history(client, audit.CLAIM, claim.number, limit=20)
    decided = [found for each in history if (found := re.match(r"(Approved|Denied) by (\S+?):?(?=\s|$)", each.text))]
    who = f" by {decided[0][2]}" if decided else " elsewhere"
    what = f"approved{who}" if claim.stage == "approved" else f"denied{who}"
    if claim.stage == "approved" and claim.final_amount is not None:
        what += f" with {dollars(claim.final_amount)}"
    if claim.stage == "denied" and claim.denial_reason:
        what += f" ({shorten(claim.denial_reason, 120)})"
    return f"Claim {claim.number} was already {what}. Nothing was changed."


def _gone(client: Redis, number: str) -> NotFound:
    if is_number(number) and audit.history(client, audit.CLAIM, number, limit=1):
        return Expired(f"The record of claim {number} has ended. Only its history is left.")
    return NotFound(f"There is no claim {shorten(number)}.")


def _free_number(draft: Change) -> str:
    """A number no claim has or had in any form, watched so that it stays free. Three round trips, more only where
    others took some.
    """
    while True:
        number = f"CLM{next_number('claim', 1):03d}"
        names = [*all_keys(number), keys.history("claims", number)]
        draft.watch(*names)
        if not draft.client.exists(*names):
            return number


def _of_policy(
    draft: Change, policy: str | None, agent: str | None, customer: str | None
) -> tuple[str | None, str | None]:
    """The agent and the customer, from the policy (watched) where they are not given. Five round trips."""
    if not policy:
        return agent, customer
    draft.watch(*keys.policy_keys(*policy.split(":", 1)))
    found = policies.load(draft.client, [policy], fields=_POLICY_FIELDS).get(policy)
    return agent or (found.agent if found else None), customer or (found.customer if found else None)


class _Rewrite:
    """A claim's writes within one change: recorded, and followed in its record, so that the index can be told."""

    def __init__(self, draft: Change, record: Record, deadline: int | None) -> None:
        """`deadline`: Unix ms that all its keys end at; None: they stay."""
        self.draft = draft
        self.record = record
        self.deadline = deadline

    def put(self, name: str, value: str) -> None:
        if self.deadline is None:
            self.draft.set(name, value)
        else:
            self.draft.set_until(name, value, self.deadline)
        self.record.values[name] = value

    def drop(self, names: Sequence[str]) -> None:
        self.draft.delete(*names)
        for name in names:
            self.record.values.pop(name, None)

    def keep(self, names: Sequence[str]) -> None:
        self.draft.persist(*names)

    def align(self) -> None:
        """Bring every key of the undecided claim to the one deadline."""
        if self.deadline is not None:
            standing = [name for name in passing_keys(self.record.number) if self.record.has_any([name])]
            self.draft.expire_at(self.deadline, *standing)

    def finish(self, words: str) -> None:
        """The audit record, the index and the news. Three round trips or so."""
        number = self.record.number
        audit.append(self.draft, audit.CLAIM, number, text=words)
        directory = agents.directory(self.draft.client)
        claim = claim_of(replace(self.record, ends={}), directory)
        claim = _with_policies(self.draft.client, [claim], directory)[number]
        claim = replace(claim, deadline=self.deadline)
        known = INDEX.known_places(self.draft.client, [number])
        INDEX.put(self.draft, number, _entry(claim), known[number])
        self.draft.event("claims", number)


def _put_estimate(rewrite: _Rewrite, estimate: Decimal | None) -> None:
    if estimate is not None:
        rewrite.put(keys.investigation_field(rewrite.record.number, "estimated_amount"), plain(estimate))


def _put_investigation(rewrite: _Rewrite, adjuster: str | None, photos: int | None, witnesses: int | None) -> None:
    """The investigation in one line (document, line 188), with what other tools have added to it."""
    root = keys.investigation(rewrite.record.number)
    parts = investigation_parts(rewrite.record.text(root))
    parts |= {"Adjuster": adjuster} if adjuster else {}
    parts |= {"Photos": str(photos or 0), "Witness Statements": str(witnesses or 0)}
    parts = {label: parts[label] for label in (*INVESTIGATION_LABELS, *parts) if label in parts}
    rewrite.put(root, " | ".join(f"{label}: {value}" if label.strip() else value for label, value in parts.items()))


def _changes(before: Claim, after: Claim) -> str:
    """What is different, in words; "" for nothing."""
    words = []
    for name, shown in (("photos", str), ("witness_statements", str), ("estimated", dollars), ("notes", repr)):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            told = [("nothing" if value is None else shown(value)) for value in (old, new)]
            words.append(f"{name.replace('_', ' ').capitalize()} updated from {told[0]} to {told[1]}")
    return "; ".join(words)


# -- what may be written


def _check_report(
    summary: str,
    policy: str | None,
    customer: str | None,
    agent: str | None,
    reporter: str | None,
    location: str | None,
    incident_date: datetime | None,
    estimated_amount: Decimal | None,
) -> None:
    wrong = {
        "summary": _bad_summary(summary),
        "policy": "" if not policy or is_policy(policy) else "A policy is written as auto:100001.",
        "customer": _bad_identifier(customer),
        "agent": _bad_identifier(agent),
        "reporter": _bad_text(reporter or "", longest=120),
        "location": _bad_text(location or "", longest=300),
        "incident_date": "It cannot lie in the future." if incident_date and incident_date > clock.now() else "",
        "estimated_amount": _bad_amount(estimated_amount),
    }
    _check(wrong)


def _check(wrong: Mapping[str, str]) -> None:
    found = {name: words for name, words in wrong.items() if words}
    if found:
        raise Invalid(found)


def _bad_summary(text: str) -> str:
    if " - " in text or re.match(rf"\s*({'|'.join(LABELS)})\s*:", text, re.IGNORECASE):
        return "No “ - ” in it, and no “Customer:” or the like at its start: the stored line is divided by them."
    return _bad_text(text, required=True, longest=120)


def _bad_text(text: str, *, longest: int, required: bool = False) -> str:
    if required and not text.strip():
        return "This is needed."
    if not fits_text(text):
        return "No | or control characters, please."
    return f"At most {longest} characters, please." if len(text) > longest else ""


def _bad_identifier(text: str | None, *, required: bool = False) -> str:
    if not text:
        return "This is needed." if required else ""
    return "" if keys.is_identifier(text) else "An identifier has no spaces and none of : * ? [ ] { } | , /"


def _bad_amount(value: Decimal | None, *, required: bool = False) -> str:
    if value is None:
        return "This is needed." if required else ""
    if not value.is_finite() or value <= 0 or value > LARGEST:
        return f"An amount above $0, at most {dollars(LARGEST)}."
    return "" if round(value, 2) == value else "Dollars and cents, no smaller parts."


def _bad_count(value: int | None) -> str:
    return "" if value is None or 0 <= value <= 10_000 else "A number from 0 to 10,000."


def _bad_notes(text: str) -> str:
    if len(text) > LONGEST:
        return f"At most {LONGEST:,} characters, please."
    return "" if fits_text(re.sub(r"[\r\n\t|]", " ", text)) else "No control characters, please."


def _report_text(summary: str, customer: str | None, estimated: Decimal | None) -> str:
    """Auto Accident - Initial Report - Customer: CUST001 - Estimated: $3,500 (document, line 180)"""
    parts = [summary.strip(), "Initial Report"]
    parts += [f"Customer: {customer}"] if customer else []
    parts += [f"Estimated: {dollars(estimated)}"] if estimated is not None else []
    return " - ".join(parts)


def _details(summary: str, policy: str | None, paid: Decimal | None, status: str) -> str:
    """Auto Accident - Policy: auto:100001 - Amount: $3,200 - Status: APPROVED (document, line 194)"""
    parts = [summary]
    parts += [f"Policy: {policy}"] if policy else []
    parts += [f"Amount: {dollars(paid)}"] if paid is not None else []
    return " - ".join([*parts, f"Status: {status}"])


# -- the index


def refresh(client: Redis, members: Sequence[str], *, force: bool = False) -> int:
    """Bring the index in step with the truth for these claims. Six round trips or so. Gives how many entries changed.

    Own changes do this in their transaction; this is for what other tools wrote, and for what has ended.
    """
    members = [member for member in members if is_number(member)]
    loaded = load(client, members)
    entries = {member: _entry(loaded[member]) if member in loaded else None for member in members}
    return INDEX.settle(client, entries, force=force)


def _entry(claim: Claim) -> Entry:
    facets = {
        "stage": claim.stage,
        "branch": claim.branch,
        "product": claim.product,
        "policy": _policy_facet(claim.policy),
        "customer": claim.customer or "",
        "adjuster": claim.adjuster or "",
    }
    return Entry(facets=facets, scores={"deadline": _score(claim)})


def _score(claim: Claim) -> int:
    if not claim.is_decided:
        return NEVER if claim.deadline is None else claim.deadline
    decided = clock.ms(claim.decided) if claim.decided else 0
    return NEVER + _LATEST - min(max(decided, 0), _LATEST)


def _policy_facet(policy: str | None) -> str:
    return (policy or "").replace(":", ".")


def _products(scope: Scope) -> list[str]:
    return [*(product for product in keys.PRODUCTS if product in scope.products), UNKNOWN]


def _facets(scope: Scope, directory: Directory, wanted: Filter, *stages: Stage) -> dict[str, list[str]]:
    allowed = _products(scope)
    facets: dict[str, list[str]] = {
        "stage": list(stages),
        "branch": directory.visible(scope),
        "product": [product for product in allowed if wanted.product is None or product == wanted.product],
    }
    for name in ("customer", "adjuster"):
        if value := getattr(wanted, name):
            facets[name] = [value]
    return facets


def _belongs(claim: Claim | None, facets: Mapping[str, Sequence[str]]) -> bool:
    """Whether a claim read just now stands rightly in a list."""
    if claim is None:
        return False
    actual = _entry(claim).facets
    return all(clean(actual[name]) in allowed for name, allowed in facets.items())


def _page(
    client: Redis,
    facets: dict[str, list[str]],
    size: int,
    directory: Directory,
    *,
    cursor: Cursor | None = None,
    high: float | None = None,
) -> Page[Claim]:
    (found,), loaded = _slices(client, [facets], size, directory, cursor=cursor, high=high)
    rows = [loaded[number] for number in found.members if number in loaded]
    return Page(_with_names(client, rows), found.first, found.total, found.previous, found.next)


def _slices(
    client: Redis,
    places: Sequence[dict[str, list[str]]],
    size: int,
    directory: Directory,
    *,
    cursor: Cursor | None = None,
    high: float | None = None,
) -> tuple[list[Slice], dict[str, Claim]]:
    """The pages of several lists, and all their claims in one reading. Entries whose claim is gone or moved on behind
    our back are taken out and the pages are read again.
    """
    for _ in range(3):
        slices = [INDEX.page(client, facets, "deadline", size, cursor=cursor, high=high) for facets in places]
        loaded = load(client, distinct(number for found in slices for number in found.members), directory=directory)
        stale = False
        for facets, found in zip(places, slices, strict=True):
            misplaced = [number for number in found.members if not _belongs(loaded.get(number), facets)]
            if misplaced:
                stale = True
                INDEX.evict(client, misplaced, facets)
                refresh(client, misplaced, force=True)
        if not stale:
            break
    return slices, loaded


# -- what other things tell about a claim


def _with_policies(client: Redis, found: Sequence[Claim], directory: Directory) -> dict[str, Claim]:
    """Agent (and so branch) and customer from the policy, for claims that do not name them. No round trip when all do,
    else up to three.
    """
    lacking = distinct(claim.policy for claim in found if claim.policy and not (claim.agent and claim.customer))
    known = policies.load(client, lacking, fields=_POLICY_FIELDS, directory=directory) if lacking else {}
    claims = {}
    for claim in found:
        policy = known.get(claim.policy or "")
        if policy:
            agent = claim.agent or policy.agent
            customer = claim.customer or policy.customer
            claim = replace(claim, agent=agent, branch=directory.branch_of(agent), customer=customer)
        claims[claim.number] = claim
    return claims


def _with_names(client: Redis, rows: Sequence[Claim]) -> list[Claim]:
    """One round trip."""
    known = customers.names(client, distinct(row.customer for row in rows))
    return [replace(row, customer_name=known.get(row.customer or "")) for row in rows]
