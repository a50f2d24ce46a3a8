"""Servicing a policy: endorse, renew, let lapse, cancel, reinstate, give to another agent.

Each is one change of the policy's own facts with its relations, index and an audit record of before and after (through
`policies.rewrite`, in whichever layout the policy is kept), and is refused where the policy is not what the form was
made from. For ten minutes the latest one can be undone, as long as nothing else was changed since.

What a cancelled or lapsed policy does to relations: nothing. It stays in its customer's list, count and total, as these
tell what somebody holds on file at which premium (the document has no other meaning for them), and in its ZIP area's
list; the status is the policy's own. What was sold stays in the figures: what was sold that day was sold. A policy that
is in force again (reinstated, renewed after its lapse, or by undo) is no longer among those that ended, in the periods in
which its end was counted, as far as they are not closed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, DomainError, Expired, Invalid, NotFound, StoreDown
from dashboard.repository import agents, jobs, metrics, periods, planned, policies
from dashboard.repository.planned import Planned
from dashboard.repository.policies import Policy, facts_of
from dashboard.repository.store import Change, change
from dashboard.repository.values import amount, answered, dollars, fits_text, readable

ENDORSABLE = {
    "auto": ("premium", "vehicle", "vehicle_vin", "coverage_limits", "deductible"),
    "home": ("premium", "property_address", "property_value", "coverage_type", "deductible"),
    "life": ("premium_monthly", "premium", "coverage_amount", "term_years"),
}
RENEWABLE_DAYS = 90
"""A policy can be renewed from so many days before its end."""
RENEWAL_RISE = Decimal(3)
"""Percent that a renewal proposes on top of the present premium. A proposal: whoever renews decides."""
UNDO_LIFE = 10 * clock.MINUTE
REASSIGN = "reassign policies"
"""The kind of bulk work that gives policies to another agent."""

_CENT = Decimal("0.01")
_COUNTED: dict[str, metrics.Part] = {
    "renewal": "policies_renewed",
    "lapse": "policies_ended",
    "cancellation": "policies_ended",
}
"""Services that customer retention is made of."""
_ENDING = ("cancellation", "lapse")
_OVERCOMING = (*_ENDING, "reinstatement", "renewal")
"""Services after which an end that was counted before holds no more: the policy was, or is, in force again."""
_STEP = Decimal("0.06")
"""A year and twelve months, each rounded to cents, may differ by so much."""

Plan = Callable[[Policy], tuple[Mapping[str, str], str]]
"""What a service makes of a policy: the facts to store, and the words that go before them in the audit record."""


@dataclass(frozen=True)
class Undo:
    """The latest service while it can be taken back: which, what it was (`cancellation`), by whom, until when (Unix ms)."""

    id: str
    what: str
    by: str
    deadline: int


# -- what is open to a policy: None, or why it is not


def why_not_endorse(policy: Policy) -> str | None:
    if policy.status in ("CANCELLED", "LAPSED"):
        return f"This policy is {policy.status.lower()}. It has to be in force again before it can be endorsed."
    return _term_over(policy, "Renew it; an endorsement changes a running term.")


def why_not_renew(policy: Policy) -> str | None:
    if policy.status in ("CANCELLED", "SUSPENDED", "PENDING"):
        return f"This policy is {policy.status.lower()}. Only one that was in force can be renewed."
    if policy.days_left is not None and policy.days_left > RENEWABLE_DAYS and policy.expires:
        first = policy.expires - timedelta(days=RENEWABLE_DAYS)
        return f"It can be renewed from {first.isoformat()} on, {RENEWABLE_DAYS} days before its end."
    return None


def why_not_lapse(policy: Policy) -> str | None:
    return None if policy.state == "EXPIRED" else "Only a policy that is active past its end can lapse."


def why_not_cancel(policy: Policy) -> str | None:
    return f"This policy is {policy.status.lower()} already." if policy.status in ("CANCELLED", "LAPSED") else None


def why_not_reinstate(policy: Policy) -> str | None:
    if policy.status not in ("CANCELLED", "LAPSED", "SUSPENDED"):
        return "This policy is neither cancelled nor lapsed nor suspended."
    again = "A lapsed one can be renewed." if policy.status == "LAPSED" else "Write a new policy."
    return _term_over(policy, again)


def _term_over(policy: Policy, instead: str) -> str | None:
    over = policy.days_left is not None and policy.days_left < 0
    return f"Its term ended on {policy.expires}. {instead}" if over else None


# -- the services


def endorse(
    product: str, number: str, facts: Mapping[str, str], *, effective: date, reason: str, seen: str | None, by: str,
    token: str | None = None,
) -> str:  # fmt: skip
    """Change what is insured or at which premium, from a day of the running term; one to come is planned. Gives words.
    Raises Conflict, Invalid, NotFound.
    """
    foreign = set(facts) - set(ENDORSABLE.get(product, ()))
    if foreign:
        raise Invalid(dict.fromkeys(foreign, "This is not changed by an endorsement."))

    def plan(policy: Policy) -> tuple[Mapping[str, str], str]:
        _refuse(why_not_endorse(policy))
        _within_term(policy, effective)
        merged = {**facts, **_life_in_step(policy, facts)}
        return merged, f"Endorsed as of {effective}, {reason}{_additional(policy, merged, effective)}"

    if effective > clock.today():
        ahead = Planned(product, number, "endorsement", effective, reason, by, facts)
        return _plan(ahead, why_not_endorse, seen=seen, token=token)
    return _serve(product, number, "endorsement", plan, reason=reason, seen=seen, by=by, token=token)


def renew(
    product: str, number: str, facts: Mapping[str, str], *, begins: date | None, ends: date, seen: str, by: str,
    token: str | None = None,
) -> str:  # fmt: skip
    """A new term at the premium in `facts` (`premium`, for life also `premium_monthly`). While the policy still covers,
    the new term follows on without a gap, whatever `begins`, and the policy stays in force since when it was. Raises
    Conflict, Invalid, NotFound.
    """

    def plan(policy: Policy) -> tuple[Mapping[str, str], str]:
        _refuse(why_not_renew(policy))
        first = new_term(policy, begins)
        if ends <= first:
            raise Invalid({"ends": "The new term has to end after it begins."})
        merged = {**facts, **_life_in_step(policy, facts)}
        merged |= facts_of(status="ACTIVE", expiration_date=ends)
        if not _covers(policy):
            merged |= facts_of(effective_date=first)
        return merged, f"Renewed for {first} to {ends}"

    return _serve(product, number, "renewal", plan, reason="", seen=seen, by=by, token=token)


def lapse(product: str, number: str, *, seen: str | None = None, by: str, token: str | None = None) -> str:
    """Write off a policy that is active past its end: nobody renewed it."""

    def plan(policy: Policy) -> tuple[Mapping[str, str], str]:
        _refuse(why_not_lapse(policy))
        return {"status": "LAPSED"}, f"Lapsed, not renewed after {policy.expires}"

    return _serve(product, number, "lapse", plan, reason="", seen=seen, by=by, token=token)


def cancel(
    product: str, number: str, *, effective: date, reason: str, seen: str | None, by: str, token: str | None = None
) -> str:
    """End a policy before its time, from a day of the term; one to come is planned."""

    def plan(policy: Policy) -> tuple[Mapping[str, str], str]:
        _refuse(why_not_cancel(policy))
        _within_term(policy, effective)
        back = unearned(policy, effective)
        words = f"Cancelled as of {effective}, {reason}" + (f" (unearned premium {dollars(back)})" if back else "")
        return {"status": "CANCELLED"}, words

    if effective > clock.today():
        ahead = Planned(product, number, "cancellation", effective, reason, by)
        return _plan(ahead, why_not_cancel, seen=seen, token=token)
    return _serve(product, number, "cancellation", plan, reason=reason, seen=seen, by=by, token=token)


def reinstate(product: str, number: str, *, reason: str, seen: str, by: str, token: str | None = None) -> str:
    """Put a cancelled, lapsed or suspended policy in force again, within its term."""

    def plan(policy: Policy) -> tuple[Mapping[str, str], str]:
        _refuse(why_not_reinstate(policy))
        return {"status": "ACTIVE"}, f"Reinstated, {reason}"

    return _serve(product, number, "reinstatement", plan, reason=reason, seen=seen, by=by, token=token)


def reassign(
    product: str, number: str, *, agent: str, reason: str, seen: str | None = None, was: str | None = None, by: str,
    token: str | None = None,
) -> str:  # fmt: skip
    """Give a policy to another agent, who must have an account. `seen` None: whatever else was changed meanwhile; `was`:
    whose it has to be still ("" for nobody's), None for whoever's.
    """

    def plan(policy: Policy) -> tuple[Mapping[str, str], str]:
        if was is not None and (policy.agent or "") != was:
            now = policy.agent or "nobody"
            raise Conflict(f"Its agent is {now} by now, and was {was or 'nobody'} when that was decided.")
        if agent == policy.agent:
            raise Invalid({"agent": f"{agent} is its agent already."})
        return {"agent": agent}, f"Given to agent {agent}, {reason}"

    def action(draft: Change) -> str:
        if agent not in agents.directory(draft.client).branches:
            raise Invalid({"agent": f"No agent has the number {agent}."})
        return _apply(draft, product, number, "change of agent", plan, seen, by)

    _check_reason(reason)
    return change(action, token=token)


# -- of a day to come


def _plan(ahead: Planned, why_not: Callable[[Policy], str | None], *, seen: str | None, token: str | None) -> str:
    """Check what can be checked today, and keep the rest for its day."""
    _check_reason(ahead.reason)
    policies.check(ahead.facts)

    def action(draft: Change) -> str:
        draft.watch(*keys.policy_keys(ahead.product, ahead.number))
        policy = policies.get(draft.client, ahead.product, ahead.number)
        _unchanged(policy, seen)
        _refuse(why_not(policy))
        _within_term(policy, ahead.effective)
        return planned.keep(draft, ahead)

    return change(action, token=token)


def carry_out(client: Redis) -> int:
    """Do what was planned for today or before, each in its own transaction; what cannot be done is kept with the reason.
    Gives how many there were. One round trip where there are none. For the holder of the lease; a second one at the same
    moment finds the plan gone.
    """
    plans = planned.due(client)
    for ahead in plans:
        token = hashlib.sha256(f"{ahead.policy}|{ahead}".encode(errors="surrogatepass")).hexdigest()[:40]
        told = {"effective": ahead.effective, "reason": ahead.reason, "seen": None, "by": ahead.by, "token": token}
        try:
            if ahead.what == "endorsement":
                endorse(ahead.product, ahead.number, ahead.facts, **told)  # type: ignore[arg-type]
            else:
                cancel(ahead.product, ahead.number, **told)  # type: ignore[arg-type]
        except StoreDown:
            raise
        except DomainError as error:
            planned.refuse(ahead, str(error))
    return len(plans)


# -- taking the latest one back


def undoable(client: Redis, policy: Policy) -> Undo | None:
    """The latest service, if it can be undone still. One round trip."""
    name = keys.policy_undo(policy.product, policy.number)
    pipe = client.pipeline(transaction=False)
    pipe.get(name)
    pipe.pexpiretime(name)
    raw, deadline = answered(pipe)
    kept = _kept(raw)
    if not kept or deadline <= 0 or kept["seen"] != policy.seen:
        return None
    return Undo(kept["seen"], kept["what"], kept["by"], deadline)


def undo(product: str, number: str, of: str, *, by: str, token: str | None = None) -> str:
    """Put back what the latest service changed; `of` is the Undo.id that was looked at. Raises Expired after ten
    minutes, Conflict when the policy was changed since.
    """

    def action(draft: Change) -> str:
        name = keys.policy_undo(product, number)
        draft.watch(name, *keys.policy_keys(product, number))
        draft.require("string", [name])
        kept = _kept(draft.client.get(name))
        before = policies.get(draft.client, product, number)
        if not kept:
            raise Expired(f"There is nothing to undo: that is open for {UNDO_LIFE // clock.MINUTE} minutes.")
        if not kept["seen"] == before.seen == of:
            raise Conflict("This policy was changed since, so that can no longer be undone.")
        policies.rewrite(draft, before, kept["was"], by=by, why=f"The {kept['what']} of {kept['by']} was undone")
        _uncount(draft, before, kept)
        draft.delete(name)
        return f"The {kept['what']} of {number} is undone."

    return change(action, token=token)


def _kept(raw: Any) -> dict[str, Any] | None:
    """What an undo is made from; None for what is not there, or is nothing of ours."""
    try:
        kept = json.loads(raw or "")
        whole = {"what": str, "by": str, "seen": str, "was": dict, "counts": list}
        if not all(isinstance(kept[name], kind) for name, kind in whole.items()):
            return None
        return kept | {"counts": [_Count.from_list(each) for each in kept["counts"]], "ending": kept.get("ending")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


# -- figures


def new_term(policy: Policy, begins: date | None = None) -> date:
    """The first day of a new term: the end of the running one; of one that has ended, `begins`, else that end."""
    if _covers(policy) and policy.expires:
        return policy.expires
    return begins or policy.expires or clock.today()


def term_end(policy: Policy, first: date) -> date:
    """The end of a new term: of life as many years as the last one, of the others a year."""
    years = policy.term_years if policy.product == "life" and policy.term_years else 1
    return clock.years_later(first, min(max(years, 1), 60))


def proposal(premium: Decimal | None) -> Decimal | None:
    """The premium proposed for a new term: in whole dollars, below 100 in cents."""
    if premium is None:
        return None
    raised = premium * (100 + RENEWAL_RISE) / 100
    return raised.quantize(_CENT if raised < 100 else Decimal(1), ROUND_HALF_UP)


def unearned(policy: Policy, on: date) -> Decimal | None:
    """The part of the premium a year that falls on the days from `on` to the term's end."""
    if policy.premium is None or not policy.expires or policy.product == "life":
        return None
    days = max((policy.expires - on).days, 0)
    return (policy.premium * days / 365).quantize(_CENT, ROUND_HALF_UP)


def in_step(yearly: Decimal | None, monthly: Decimal | None, was: tuple[Decimal | None, Decimal | None]) -> tuple[
    Decimal | None, Decimal | None
]:  # fmt: skip
    """Premium a year and a month, in step: the one that was changed leads. `was` is what they were. Raises Invalid when
    both were changed and contradict each other.
    """
    if yearly is None and monthly is None:
        raise Invalid({"premium_monthly": "Give the premium a month, or a year."})
    if (yearly, monthly) == was:
        return was
    if monthly is None or (yearly is not None and monthly == was[1]):
        return yearly, (yearly / 12).quantize(_CENT, ROUND_HALF_UP) if yearly is not None else None
    if yearly is None:
        kept = was[0] is not None and agree(was[0], monthly)
        return was[0] if kept else monthly * 12, monthly
    if yearly == was[0]:
        return monthly * 12, monthly
    if not agree(yearly, monthly):
        words = f"{dollars(monthly)} a month is {dollars(monthly * 12)} a year. Change one of the two."
        raise Invalid({"premium": words})
    return yearly, monthly


def agree(yearly: Decimal | None, monthly: Decimal | None) -> bool:
    """Whether the two premiums say the same, up to rounding; one that is missing contradicts nothing."""
    return yearly is None or monthly is None or abs(yearly - 12 * monthly) <= _STEP


# -- within a change


def _serve(
    product: str, number: str, what: str, plan: Plan, *, reason: str, seen: str | None, by: str, token: str | None
) -> str:
    _check_reason(reason)
    return change(lambda draft: _apply(draft, product, number, what, plan, seen, by), token=token)


def _apply(draft: Change, product: str, number: str, what: str, plan: Plan, seen: str | None, by: str) -> str:
    """Read under WATCH, plan, rewrite, and keep how to undo it. About 20 round trips."""
    draft.watch(*keys.policy_keys(product, number))
    before = policies.get(draft.client, product, number)
    _unchanged(before, seen)
    facts, why = plan(before)
    policies.check(facts)
    done = policies.rewrite(draft, before, facts, by=by, why=why)
    if done is None:
        raise Invalid({"": "Nothing differs from what is stored already."})
    kept = {"what": what, "by": by, "was": dict(done.was), "seen": done.after.seen, **_count(draft, before, what)}
    draft.set_until(keys.policy_undo(product, number), json.dumps(kept), clock.now_ms() + UNDO_LIFE)
    _done_as_planned(draft, product, number, what)
    return f"{why}."


def _unchanged(policy: Policy, seen: str | None) -> None:
    if seen is not None and policy.seen != seen:
        raise Conflict("Somebody changed this policy while you had this form open. Look at it as it stands now.")


def _done_as_planned(draft: Change, product: str, number: str, what: str) -> None:
    """What was planned for a day that has come ends with its being done, and what was planned for later with the
    cancellation of the policy. One round trip.
    """
    draft.watch(keys.plan(product, number))
    ahead = planned.get(draft.client, product, number)
    if ahead and (what == "cancellation" or (ahead.what == what and ahead.effective <= clock.today())):
        planned.forget(draft, product, number)


@dataclass(frozen=True)
class _Count:
    """So many more (or fewer) of a part of customer retention, in the periods of a day, among an agent's."""

    part: metrics.Part
    by: int
    on: date
    agent: str | None

    def as_list(self) -> list[Any]:
        return [self.part, self.by, self.on.isoformat(), self.agent]

    @classmethod
    def from_list(cls, kept: Any) -> _Count:
        """Raises ValueError or TypeError for what is none."""
        part, by, on, agent = kept
        if part not in _COUNTED.values() or by not in (1, -1) or not isinstance(agent, str | None):
            raise ValueError("no count")
        return cls(part, by, date.fromisoformat(on), agent)


def _count(draft: Change, policy: Policy, what: str) -> dict[str, Any]:
    """Count this service in customer retention, and take out an end that was counted before and holds no more. Gives how
    that is undone: what was counted, and the end as it was kept. Two round trips, four more for each count.
    """
    name = keys.ending(policy.product, policy.number)
    draft.watch(name)
    (kept,) = answered(draft.client.pipeline(transaction=False).get(name))
    counts = []
    if what in _COUNTED:
        counts.append(_Count(_COUNTED[what], 1, clock.today(), policy.agent))
        metrics.add(draft, {_COUNTED[what]: 1}, product=policy.product, agent=policy.agent)
    former = _ending(kept) if what in _OVERCOMING else None
    if former:
        counts.append(former)
        metrics.correct(draft, {former.part: former.by}, on=former.on, product=policy.product, agent=former.agent)
        draft.delete(name)
    if what in _ENDING:
        _keep_ending(draft, policy, json.dumps([clock.today().isoformat(), policy.agent]), clock.today())
    return {"counts": [each.as_list() for each in counts], "ending": kept}


def _uncount(draft: Change, policy: Policy, kept: Mapping[str, Any]) -> None:
    """Take back what a service counted, on the day on which it did: ten minutes may reach beyond midnight."""
    for count in kept["counts"]:
        metrics.correct(draft, {count.part: -count.by}, on=count.on, product=policy.product, agent=count.agent)
    if kept["what"] not in _OVERCOMING:
        return
    draft.delete(keys.ending(policy.product, policy.number))
    former = _ending(kept["ending"])
    if former:
        _keep_ending(draft, policy, kept["ending"], former.on)


def _ending(raw: Any) -> _Count | None:
    """How the end that was counted is taken out; None for what is not there, or is nothing of ours."""
    try:
        on, agent = json.loads(raw or "")
        return _Count.from_list(["policies_ended", -1, on, agent])
    except (ValueError, TypeError, RecursionError):
        return None


def _keep_ending(draft: Change, policy: Policy, kept: str, on: date) -> None:
    """As long as figures of that day live."""
    draft.set_until(keys.ending(policy.product, policy.number), kept, periods.of("quarterly", on).deadline)


def _life_in_step(policy: Policy, facts: Mapping[str, str]) -> dict[str, str]:
    """What follows for a life policy: the other premium, and the end of the term where its length was changed."""
    if policy.product != "life":
        return {}
    follows: dict[str, str] = {}
    if "premium" in facts or "premium_monthly" in facts:
        yearly, monthly = (amount(facts.get(name, "")) for name in ("premium", "premium_monthly"))
        both = in_step(yearly, monthly, (policy.premium, policy.premium_monthly))
        follows = facts_of(premium=both[0], premium_monthly=both[1])
    years = facts.get("term_years", "")
    if years.isdecimal() and int(years) != policy.term_years and policy.effective:
        follows |= facts_of(expiration_date=clock.years_later(policy.effective, int(years)))
    return follows


def _additional(policy: Policy, facts: Mapping[str, str], on: date) -> str:
    """The premium that the endorsement adds to, or takes from, the rest of the term."""
    premium = amount(facts.get("premium", ""))
    if premium is None or policy.premium is None or not policy.expires or policy.product == "life":
        return ""
    days = (policy.expires - on).days
    extra = ((premium - policy.premium) * days / 365).quantize(_CENT, ROUND_HALF_UP)
    if not extra:
        return ""
    kind = "additional" if extra > 0 else "return"
    return f" ({kind} premium {dollars(abs(extra))} for {days} days)"


def _within_term(policy: Policy, on: date) -> None:
    """From the first day of the term up to its last."""
    if on > clock.today() and not policy.expires:
        raise Invalid({"effective": "The end of its term is not known, so it can take effect today or before."})
    if policy.expires and on > policy.expires and on > clock.today():
        raise Invalid({"effective": f"Its term ends on {policy.expires}."})
    if policy.effective and on < policy.effective <= clock.today():
        raise Invalid({"effective": f"The policy begins on {policy.effective}."})


def _covers(policy: Policy) -> bool:
    return policy.status != "LAPSED" and policy.days_left is not None and policy.days_left >= 0


def _refuse(why: str | None) -> None:
    if why:
        raise Conflict(why)


def _check_reason(reason: str) -> None:
    if not fits_text(reason):
        raise Invalid({"reason": "No | or control characters, please."})


# -- as bulk work


def reassignable(policy: Policy) -> str:
    """How bulk work names a policy that it is to give away: with whose it is, for it takes it from nobody else."""
    return f"{policy.id}|{policy.agent or ''}"


def _reassign_step(member: str, params: Mapping[str, str], by: str, token: str) -> str:
    policy, _, was = member.partition("|")
    product, _, number = policy.partition(":")
    if product not in keys.PRODUCTS or not keys.is_identifier(number):
        raise NotFound(f"{policy} is no policy.")
    return reassign(product, number, agent=params["agent"], reason=params["reason"], was=was, by=by, token=token)


def _shown(member: str) -> str:
    policy, _, was = readable(member).partition("|")
    return f"{policy} ({was})" if was else policy


jobs.register_work(REASSIGN, jobs.Work(_reassign_step, shown=_shown))
