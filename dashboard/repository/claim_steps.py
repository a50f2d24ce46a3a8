"""The steps of a claim's life, from the first notice of loss to payment and beyond; each is one transaction.

What was known is carried along, all keys of an undecided claim share one deadline, and a snapshot of it is kept.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Forbidden, Invalid, NotFound
from dashboard.repository import agents, audit, claim_snapshots, metrics, policies
from dashboard.repository.agents import Directory
from dashboard.repository.claim_index import INDEX, POLICY_FIELDS, entry, with_policies
from dashboard.repository.claim_records import (
    AWAITING,
    IN_PROGRESS,
    INVESTIGATION_LABELS,
    INVESTIGATION_LIFE,
    LABELS,
    REOPENED,
    REPORTED_LIFE,
    UNDECIDED,
    Claim,
    Record,
    all_keys,
    claim_of,
    investigation_parts,
    is_number,
    is_policy,
    passing_keys,
    read,
)
from dashboard.repository.store import Change, change, next_number
from dashboard.repository.values import LONGEST, dollars, fits_text, plain, shorten

LARGEST = Decimal(1_000_000_000)
"""Dollars; more than this is a slip of the hand."""

_PAYMENT_YEARS = 7

_STANDING = {
    "reported": "is only reported", "investigating": "is under investigation", "waiting": "waits for a supervisor",
    "approved": "is approved", "paid": "is paid", "denied": "is denied", "closed": "is closed",
}  # fmt: skip


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
        written = {"reported_by": by, "reported_date": clock.iso(clock.now())}
        for name, value in (facts | written).items():
            if value:
                rewrite.put(keys.claim_temp_field(number, name), value)
        product = policy.partition(":")[0] if policy else None
        metrics.add(draft, {"claims_filed": 1}, product=product, agent=owner)
        # The record may end with nobody having looked at it: all that was told stays in the history.
        told = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value)
        rewrite.finish(f"Reported by {by}: {text} ({told})" if told else f"Reported by {by}: {text}", by=by)
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
        record, claim = _standing_at(draft, number, UNDECIDED)
        if claim.stage == "waiting":
            raise Conflict(f"Claim {number} waits for a supervisor: the adjuster stays until it is sent back.")
        if claim.adjuster != (instead_of or None):
            whom = f"is assigned to {claim.adjuster}" if claim.adjuster else "has no adjuster any more"
            raise Conflict(f"Claim {number} {whom} by now. Nothing was changed; look again.")
        rewrite = _Rewrite(draft, record, _assigned_until(record, claim))
        rewrite.put(keys.investigation_field(number, "adjuster"), adjuster)
        rewrite.put(keys.investigation_field(number, "status"), IN_PROGRESS)
        if claim.assigned is None:
            rewrite.put(keys.investigation_field(number, "assigned_date"), clock.iso(clock.now()))
        draft.record("SADD", keys.adjusters(), adjuster)
        _put_estimate(rewrite, claim.estimated if estimate is None else estimate)
        _put_investigation(rewrite, adjuster, claim.photos, claim.witness_statements)
        rewrite.finish(
            f"Assigned to {adjuster} by {by}" + (f" instead of {claim.adjuster}" if claim.adjuster else ""), by=by
        )
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
        record, claim = _standing_at(draft, number, ("investigating",))
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
        rewrite = _Rewrite(draft, record, _goes_on(record))
        if after.estimated != claim.estimated:
            _put_estimate(rewrite, after.estimated)
        if after.notes != claim.notes:
            rewrite.put(keys.investigation_field(number, "notes"), notes)
        _put_investigation(rewrite, after.adjuster, after.photos, after.witness_statements)
        rewrite.finish(f"{words} by {by}", by=by)
        return f"{words}."

    return change(action, token=token)


def set_reserve(
    number: str, reserve: Decimal, *, by: str, instead_of: Decimal | None = None, token: str | None = None
) -> str:
    """Set aside so many dollars for a claim, in place of `instead_of`; gives a sentence. Raises Conflict (not open any more,
    or set by somebody else meanwhile), NotFound, Expired, Invalid.
    """
    _check({"reserve": _bad_amount(reserve, required=True, least=Decimal(0))})

    def action(draft: Change) -> str:
        record, claim = _standing_at(draft, number, (*UNDECIDED, "approved"))
        if claim.reserve != instead_of:
            told = "nothing" if claim.reserve is None else dollars(claim.reserve)
            raise Conflict(f"The reserve of claim {number} is {told} by now. Look again, then save.")
        if claim.stage == "reported":
            raise Conflict(f"Claim {number} is only reported: assign an adjuster first.")
        if reserve == claim.reserve:
            return "Nothing was changed."
        rewrite = _Rewrite(draft, record, _goes_on(record) if claim.stage in UNDECIDED else None)
        rewrite.put(keys.investigation_field(number, "reserve"), plain(reserve))
        if claim.is_decided:
            rewrite.put(keys.claim_field(number, "reserve"), plain(reserve))
        before = f" from {dollars(claim.reserve)}" if claim.reserve is not None else ""
        rewrite.finish(f"Reserve updated{before} to {dollars(reserve)} by {by}", by=by)
        return f"{dollars(reserve)} is set aside for claim {number}."

    return change(action, token=token)


def approve(
    number: str, final_amount: Decimal, *, by: str, authority: Decimal | None = None, token: str | None = None
) -> str:
    """Approve a claim under investigation with what will be paid, in dollars. Gives a sentence.

    `authority`: dollars up to which this person decides alone; None for a supervisor, who has no limit and decides what
    waits. Above it, or for a claim they reported themselves, the claim waits for another's approval instead.
    Raises Conflict (decided by somebody else, or nobody investigated), Forbidden, NotFound, Expired, Invalid.
    """
    _check({"final_amount": _bad_amount(final_amount, required=True)})

    def action(draft: Change) -> str:
        record, claim = _standing_at(draft, number, ("investigating", "waiting"))
        if claim.stage == "investigating" and needs_another(claim, final_amount, by, authority):
            return _propose(draft, record, claim, final_amount, by, needs_another(claim, final_amount, by, authority))
        _check_may_approve(claim, by, authority)
        decision = {
            "final_amount": plain(final_amount),
            "approval_date": clock.iso(clock.now()),
            "approved_by": by,
        }
        words = f"Approved by {by} with {dollars(final_amount)}"
        # A reopened claim may have been paid that much already.
        status = "PAID" if (claim.paid or 0) >= final_amount else "APPROVED"
        _decide(draft, record, claim, status, decision, words, by=by, approved=final_amount)
        return f"Claim {number} was approved with {dollars(final_amount)}."

    return change(action, token=token)


def needs_another(claim: Claim, amount: Decimal | None, by: str, authority: Decimal | None) -> str:
    """Why somebody else has to approve this amount; "" where this person may."""
    if claim.is_reported_by(by):
        return f"{by} reported it"
    if authority is not None and amount is not None and amount > authority:
        return f"it is above {by}’s authority of {dollars(authority)}"
    return ""


def _check_may_approve(claim: Claim, by: str, authority: Decimal | None) -> None:
    if claim.stage == "waiting" and authority is not None:
        raise Forbidden(f"Claim {claim.number} waits for a supervisor’s approval.")
    if claim.is_reported_by(by):
        raise Forbidden(f"You reported claim {claim.number}: somebody else has to approve it.")
    if claim.stage == "waiting" and (claim.proposed_by or "").casefold() == by.casefold():
        raise Forbidden(f"You proposed what claim {claim.number} waits for: somebody else has to approve it.")


def _propose(draft: Change, record: Record, claim: Claim, amount: Decimal, by: str, why: str) -> str:
    """The claim waits; its record keeps its deadline."""
    number = claim.number
    rewrite = _Rewrite(draft, record, _goes_on(record))
    proposal = {"proposed_amount": plain(amount), "proposed_by": by, "proposed_date": clock.iso(clock.now())}
    for name, value in {**proposal, "status": AWAITING}.items():
        rewrite.put(keys.investigation_field(number, name), value)
    rewrite.drop([keys.investigation_field(number, "returned_reason")])
    rewrite.finish(f"Proposed by {by} with {dollars(amount)}: waits for a supervisor, for {why}", by=by)
    return f"Claim {number} waits for a supervisor’s approval of {dollars(amount)}: {why}."


_PROPOSAL = ("proposed_amount", "proposed_by", "proposed_date")


def send_back(number: str, reason: str, *, by: str, token: str | None = None) -> str:
    """Return a claim that waits for approval to its investigation, with what is to be done. Gives a sentence.
    Raises Conflict (it waits no more), NotFound, Expired, Invalid.
    """
    reason = reason.strip()
    _check({"reason": _bad_text(reason, required=True, longest=500)})

    def action(draft: Change) -> str:
        record, claim = _standing_at(draft, number, ("waiting",))
        rewrite = _Rewrite(draft, record, _goes_on(record))
        rewrite.put(keys.investigation_field(number, "status"), IN_PROGRESS)
        rewrite.put(keys.investigation_field(number, "returned_reason"), reason)
        rewrite.drop([keys.investigation_field(number, name) for name in _PROPOSAL])
        told = f" (proposed: {dollars(claim.proposed)})" if claim.proposed is not None else ""
        rewrite.finish(f"Sent back by {by}: {reason}{told}", by=by)
        return f"Claim {number} was sent back to its investigation."

    return change(action, token=token)


def deny(number: str, reason: str, *, by: str, supervisor: bool = True, token: str | None = None) -> str:
    """Deny a claim that is reported or under investigation; one that waits for a supervisor, as one. Gives a sentence.
    Raises Conflict (decided by somebody else), Forbidden, NotFound, Expired, Invalid.
    """
    reason = reason.strip()
    _check({"reason": _bad_text(reason, required=True, longest=500)})

    def action(draft: Change) -> str:
        record, claim = _standing_at(draft, number, UNDECIDED)
        if claim.stage == "waiting" and not supervisor:
            raise Forbidden(f"Claim {number} waits for a supervisor: only they can deny it now.")
        decision = {"denial_reason": reason, "denial_date": clock.iso(clock.now())}
        _decide(draft, record, claim, "DENIED", decision, f"Denied by {by}", by=by, reason=reason)
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
    by: str,
    approved: Decimal | None = None,
    reason: str = "",
) -> None:
    """Make the record permanent: what is known is copied before the temporary keys go (the customer's own commands
    lose incident, place and reporter), and all of the investigation stays (theirs keep two keys of four).
    """
    number = record.number
    rewrite = _Rewrite(draft, record, None)
    details = _details(record.summary or "Claim", claim.policy, approved, status)
    facts = {**record.known(claim), **decision, "details": details, "status": status}
    for name, value in facts.items():
        rewrite.put(keys.claim_field(number, name), value)
    rewrite.drop(keys.claim_temp_keys(number))
    rewrite.drop([keys.investigation_field(number, name) for name in (*_PROPOSAL, "returned_reason")])
    # All of them, whether another tool has written them or not: PERSIST of a missing key does nothing.
    rewrite.keep(keys.investigation_keys(number))
    if record.has_any(keys.investigation_keys(number)):
        rewrite.put(keys.investigation_field(number, "status"), "CLOSED")
    metrics.add_decision(
        draft, number, product=claim.product, agent=claim.agent, paid=approved, reported=claim.reported
    )
    told = shorten(details, LONGEST)
    rewrite.finish(f"{words}: {reason} ({told})" if reason else f"{words}: {told}", by=by)


def pay(number: str, amount: Decimal, *, by: str, paid_before: Decimal = Decimal(0), token: str | None = None) -> str:
    """Pay an approved claim, or a part of it, in dollars; `paid_before` is what the payer saw as paid already. Leaves a
    payment record for seven years. Gives a sentence. Raises Conflict (paid meanwhile, more than is left), NotFound,
    Expired, Invalid.
    """
    _check({"amount": _bad_amount(amount, required=True)})

    def action(draft: Change) -> str:
        record, claim = _standing_at(draft, number, ("approved",))
        unpaid, paid = claim.unpaid, claim.paid or Decimal(0)
        if unpaid is None:
            raise Conflict(f"Claim {number} was approved without an amount: reopen it and approve it with one.")
        if paid != paid_before:
            raise Conflict(f"{dollars(paid)} of claim {number} is paid by now. Nothing was paid again; look again.")
        if amount > unpaid:
            raise Invalid({"amount": f"At most {dollars(unpaid)}: that is what is left to pay."})
        transaction = _free_transaction(draft, number)
        rewrite = _Rewrite(draft, record, None)
        at = clock.iso(clock.now())
        facts = {"paid_amount": plain(paid + amount), "paid_date": at, "payment": transaction}
        if amount == unpaid:
            facts |= _with_status(record, claim, "PAID")
        for name, value in facts.items():
            rewrite.put(keys.claim_field(number, name), value)
        _log_payment(draft, transaction, claim, amount, by)
        left = f", {dollars(unpaid - amount)} still to pay" if amount < unpaid else ""
        rewrite.finish(f"Paid by {by}: {dollars(amount)} as {transaction}{left}", by=by)
        return f"{dollars(amount)} was paid on claim {number}{left}."

    return change(action, token=token)


def close(number: str, *, by: str, token: str | None = None) -> str:
    """Close a claim that is paid or denied; what is still set aside for it is released. Gives a sentence.
    Raises Conflict, NotFound, Expired.
    """

    def action(draft: Change) -> str:
        record, claim = _standing_at(draft, number, ("paid", "denied"))
        rewrite = _Rewrite(draft, record, None)
        facts = {"closed_date": clock.iso(clock.now()), **_with_status(record, claim, "CLOSED")}
        released = ""
        if claim.reserve:
            facts["reserve"] = "0"
            rewrite.put(keys.investigation_field(number, "reserve"), "0")
            released = f"; reserve of {dollars(claim.reserve)} released"
        for name, value in facts.items():
            rewrite.put(keys.claim_field(number, name), value)
        rewrite.finish(f"Closed by {by}{released}", by=by)
        return f"Claim {number} is closed."

    return change(action, token=token)


def reopen(number: str, reason: str, *, by: str, token: str | None = None) -> str:
    """Take a decided claim up again: the decision goes (its history stays), what was paid stays, and so does the whole
    record, for good. Gives a sentence. Raises Conflict (it is open), NotFound, Expired, Invalid.
    """
    reason = reason.strip()
    _check({"reason": _bad_text(reason, required=True, longest=500)})

    def action(draft: Change) -> str:
        record, claim = _standing_at(draft, number, ("approved", "paid", "denied", "closed"))
        rewrite = _Rewrite(draft, record, None)
        gone = ("final_amount", "approval_date", "approved_by", "denial_date", "denial_reason", "closed_date")
        rewrite.drop([keys.claim_field(number, name) for name in gone])
        facts = {"reopened_date": clock.iso(clock.now()), "reopened_reason": reason}
        facts |= {**record.known(claim), **_with_status(record, claim, REOPENED)}
        for name, value in facts.items():
            rewrite.put(keys.claim_field(number, name), value)
        # Another tool's decision keeps two keys of four: a claim at work again loses none.
        rewrite.keep(passing_keys(number))
        if record.has_any(keys.investigation_keys(number)):
            rewrite.put(keys.investigation_field(number, "status"), IN_PROGRESS)
        rewrite.finish(f"Reopened by {by}: {reason} (it {_STANDING[claim.stage].replace('is ', 'was ')})", by=by)
        return f"Claim {number} is open again."

    return change(action, token=token)


def restore(number: str, *, by: str, token: str | None = None) -> str:
    """Bring back what the store ended of an undecided claim, from its snapshot: the claim, with the whole time of its
    stage, or those facts that are gone of one that is still there, which goes on with the time it has, or for good. Of a
    claim that another tool decided, what that one dropped or left to end (trap 26) becomes part of its record. Gives a
    sentence. Raises Conflict (nothing is missing), NotFound.
    """

    def action(draft: Change) -> str:
        if not is_number(number):
            raise NotFound(f"There is no claim {shorten(number)}.")
        names = all_keys(number)
        draft.watch(*names, keys.claim_snapshot(number))
        draft.require("string", names)
        directory = agents.directory(draft.client)
        (record,) = read(draft.client, [number])
        kept = claim_snapshots.read(draft.client, [number]).get(number)
        claim = claim_of(record, directory) if record.exists else None
        if claim and claim.is_decided:
            return _complete(draft, record, kept, directory, by)
        if kept is None:
            raise NotFound(f"Nothing is kept of claim {shorten(number)} that could be restored.")
        missing = kept.missing_in(record)
        if not missing:
            raise Conflict(f"Nothing of claim {number} is missing: it was restored already.")
        rewrite = _Rewrite(draft, record, _goes_on(record) if record.exists else _whole_life(kept.record))
        for name, value in missing.items():
            rewrite.put(name, value)
        what = "the claim" if claim is None else "lost facts"
        rewrite.finish(f"Restored by {by}: {what}, from the snapshot ({len(missing)} keys)", by=by)
        return f"Claim {number} is restored."

    return change(action, token=token)


def left_behind(record: Record, kept: claim_snapshots.Snapshot | None, directory: Directory) -> dict[str, str]:
    """What a decided claim's record lacks, by key, for all to be kept: the facts of the report, as our own decision copies
    them, and those of the investigation, where they are gone or will end.
    """
    number = record.number
    lasting = {name: None if name in record.ends else value for name, value in record.values.items()}
    there = {name: value for name, value in record.values.items() if value is not None}
    whole = replace(record, values={**record.values, **(kept.values if kept else {}), **there})
    known = replace(record, values=lasting)
    already = known.known(claim_of(known, directory))
    facts = {
        keys.claim_field(number, name): value
        for name, value in whole.known(claim_of(whole, directory)).items()
        if name not in already
    }
    facts |= {
        name: whole.text(name)
        for name in keys.investigation_keys(number)
        if whole.text(name) and lasting.get(name) is None
    }
    if (status := keys.investigation_field(number, "status")) in facts:
        facts[status] = "CLOSED"
    over = [keys.investigation_field(number, name) for name in (*_PROPOSAL, "returned_reason")]
    return {name: value for name, value in facts.items() if name not in over}


def _complete(
    draft: Change, record: Record, kept: claim_snapshots.Snapshot | None, directory: Directory, by: str
) -> str:
    number = record.number
    missing = left_behind(record, kept, directory)
    if not missing:
        raise Conflict(_who_decided(draft.client, claim_of(record, directory)))
    rewrite = _Rewrite(draft, record, None)
    for name, value in missing.items():
        rewrite.put(name, value)
    facts = f"{len(missing)} fact{'s' if len(missing) != 1 else ''}"
    rewrite.finish(f"Completed by {by}: {facts} that another tool’s decision dropped or left to end", by=by)
    return f"All that is known of claim {number} is kept for good."


# -- what the steps are made of


def _standing_at(draft: Change, number: str, stages: Collection[str]) -> tuple[Record, Claim]:
    """The claim as it stands, watched with its policy, every key of the right type. Raises Conflict when it is at none of
    these stages, and says who decided what. Ten round trips or so.
    """
    if not is_number(number):
        raise NotFound(f"There is no claim {shorten(number)}.")
    names = all_keys(number)
    draft.watch(*names, keys.claim_snapshot(number))
    directory = agents.directory(draft.client)
    (record,) = read(draft.client, [number])
    if not record.exists:
        raise gone(draft.client, number)
    claim = claim_of(record, directory)
    if claim.policy:
        draft.watch(*keys.policy_keys(*claim.policy.split(":", 1)))
    claim = with_policies(draft.client, [claim], directory)[number]
    if claim.stage not in stages:
        raise Conflict(_elsewhere(draft.client, claim, stages))
    draft.require("string", names)
    draft.require("hash", [keys.claim_snapshot(number)])
    return record, claim


def _elsewhere(client: Redis, claim: Claim, stages: Collection[str]) -> str:
    """Why a step cannot be taken from where the claim stands."""
    if claim.is_decided and all(stage in UNDECIDED for stage in stages):
        return _who_decided(client, claim)
    if claim.stage == "reported" and "investigating" in stages:
        return f"Claim {claim.number} is not under investigation yet: assign an adjuster first."
    return f"Claim {claim.number} {_STANDING[claim.stage]} by now. Nothing was changed; look again."


def _goes_on(record: Record) -> int | None:
    """The deadline that an undecided claim has; None for one that stays, as a reopened one does."""
    return record.latest(passing_keys(record.number))


def _assigned_until(record: Record, claim: Claim) -> int | None:
    """Whoever is the first on it has the investigation's 30 days; the next goes on with the time there is."""
    fresh, latest = clock.now_ms() + INVESTIGATION_LIFE, _goes_on(record)
    if record.text(keys.claim_field(record.number, "status")).strip().upper() == REOPENED:
        return None  # reopened: the record stays
    return max(fresh, latest or 0) if claim.adjuster is None else latest or fresh


def _whole_life(record: Record) -> int:
    investigated = record.has_any(keys.investigation_keys(record.number))
    return clock.now_ms() + (INVESTIGATION_LIFE if investigated else REPORTED_LIFE)


def _with_status(record: Record, claim: Claim, status: str) -> dict[str, str]:
    """The status and the one-line text, which tells it too."""
    amount = claim.final_amount if status != REOPENED else None
    return {"status": status, "details": _details(record.summary or "Claim", claim.policy, amount, status)}


def _free_transaction(draft: Change, number: str) -> str:
    """A payment's number, of a form that no other tool counts in. Two round trips."""
    while True:
        transaction = f"TXN-{number[:40]}-{secrets.token_hex(4)}"
        name = keys.payment_audit(transaction)
        draft.watch(name)
        if not draft.client.exists(name):
            return transaction


def _log_payment(draft: Change, transaction: str, claim: Claim, amount: Decimal, by: str) -> None:
    """Customer: CUST001 | Amount: 1200 | Date: 2024-08-18 (document, line 287), with the claim and who paid."""
    today = clock.today()
    parts = [f"Customer: {claim.customer}"] if claim.customer else []
    parts += [f"Amount: {plain(amount)}", f"Date: {today.isoformat()}", f"Claim: {claim.number}", f"By: {by}"]
    until = clock.end_of_day(clock.years_later(today, _PAYMENT_YEARS))
    audit.add(draft, keys.payment_audit(transaction), " | ".join(parts), clock.now_ms(), until, by=by)


def _who_decided(client: Redis, claim: Claim) -> str:
    history = audit.history(client, audit.CLAIM, claim.number, limit=20)
    decided = [found for each in history if (found := re.match(r"(Approved|Denied) by (\S+?):?(?=\s|$)", each.text))]
    who = f" by {decided[0][2]}" if decided else " elsewhere"
    what = f"denied{who}" if claim.denial_reason is not None or claim.stage == "denied" else f"approved{who}"
    if claim.final_amount is not None:
        what += f" with {dollars(claim.final_amount)}"
    if claim.denial_reason:
        what += f" ({shorten(claim.denial_reason, 120)})"
    return f"Claim {claim.number} was already {what}. Nothing was changed."


def gone(client: Redis, number: str) -> NotFound:
    """NotFound, or Expired where something is left of it. Three round trips at most."""
    if is_number(number) and claim_snapshots.read(client, [number]):
        return Expired(f"The record of claim {number} has ended. What was known is kept: restore it from there.")
    if is_number(number) and audit.history(client, audit.CLAIM, number, limit=1):
        return Expired(f"The record of claim {number} has ended. Only its history is left.")
    return NotFound(f"There is no claim {shorten(number)}.")


def _free_number(draft: Change) -> str:
    """A number no claim has or had in any form, watched so that it stays free. Three round trips, more only where
    others took some.
    """
    while True:
        number = f"CLM{next_number('claim', 1):03d}"
        names = [*all_keys(number), keys.history("claims", number), keys.claim_snapshot(number)]
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
    found = policies.load(draft.client, [policy], fields=POLICY_FIELDS).get(policy)
    return agent or (found.agent if found else None), customer or (found.customer if found else None)


class _Rewrite:
    """A claim's writes within one change: recorded, and followed in its record, so that the index can be told."""

    def __init__(self, draft: Change, record: Record, deadline: int | None) -> None:
        """`deadline`: Unix ms that all keys of an undecided claim end at; None: they stay."""
        self.draft = draft
        self.record = record
        self.deadline = deadline
        self._dropped: list[str] = []

    def put(self, name: str, value: str) -> None:
        if self.deadline is None:
            self.draft.set(name, value)
        else:
            self.draft.set_until(name, value, self.deadline)
        self.record.values[name] = value

    def drop(self, names: Sequence[str]) -> None:
        self.draft.delete(*names)
        self._dropped += names
        for name in names:
            self.record.values.pop(name, None)

    def keep(self, names: Sequence[str]) -> None:
        self.draft.persist(*names)

    def finish(self, words: str, *, by: str) -> None:
        """The one deadline, the audit record, the snapshot, the index and the news. Three round trips or so."""
        number = self.record.number
        standing = [name for name in passing_keys(number) if self.record.has_any([name])]
        if self.deadline is not None:
            self.draft.expire_at(self.deadline, *standing)
        audit.append(self.draft, audit.CLAIM, number, text=words, by=by)
        directory = agents.directory(self.draft.client)
        record = replace(self.record, ends=dict.fromkeys(standing, self.deadline) if self.deadline else {})
        claim = with_policies(self.draft.client, [claim_of(record, directory)], directory)[number]
        if self.deadline is None:
            claim_snapshots.drop(self.draft, number)
        else:
            passing = set(passing_keys(number))
            without = [name for name in self._dropped if name in passing]
            claim_snapshots.keep(self.draft, record, self.deadline, without=without)
        known = INDEX.known_places(self.draft.client, [number])
        INDEX.put(self.draft, number, entry(claim), known[number])
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


def _bad_amount(value: Decimal | None, *, required: bool = False, least: Decimal = Decimal("0.01")) -> str:
    if value is None:
        return "This is needed." if required else ""
    if not value.is_finite() or value < least or value > LARGEST:
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
