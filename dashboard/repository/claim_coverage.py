"""Whether a policy covers a claim, as advice: what speaks for it, what against it, and what the deductible leaves.

Nothing here is enforced. A policy may have been mended since, or lack what other tools never wrote (trap 8): what is
not known is said to be not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from redis import Redis

from dashboard import clock
from dashboard.repository import policies
from dashboard.repository.claim_records import Claim
from dashboard.repository.policies import Policy
from dashboard.repository.values import dollars

Tone = Literal["good", "warn", "bad"]

_ENDED = ("CANCELLED", "CANCELED", "LAPSED", "EXPIRED", "SUSPENDED")


@dataclass(frozen=True)
class Finding:
    """One sentence; `tone` says whether it speaks for cover, leaves doubt, or speaks against it."""

    tone: Tone
    words: str


@dataclass(frozen=True)
class Coverage:
    """What the policy (None: unknown or gone) says about a claim. `payable`: dollars that the estimate leaves after the
    deductible and within the limit; None where either is not known.
    """

    policy: Policy | None
    findings: tuple[Finding, ...]
    payable: Decimal | None

    @property
    def tone(self) -> Tone:
        """The gravest of the findings."""
        tones = [finding.tone for finding in self.findings]
        return "bad" if "bad" in tones else "warn" if "warn" in tones else "good"


def coverage(client: Redis, claim: Claim) -> Coverage:
    """Four round trips, none for a claim without a policy."""
    if claim.policy is None:
        return Coverage(None, (Finding("warn", "No policy is named, so cover cannot be checked."),), None)
    policy = policies.load(client, [claim.policy], fields=policies.FIELDS).get(claim.policy)
    if policy is None:
        return Coverage(None, (Finding("bad", f"There is no policy {claim.policy}."),), None)
    findings = (*_in_force(claim, policy), *_of_whom(claim, policy), *_limits(claim, policy))
    return Coverage(policy, findings, _payable(claim, policy))


def _in_force(claim: Claim, policy: Policy) -> Iterator[Finding]:
    if claim.incident is None:
        yield Finding("warn", "When it happened is not known, so the policy’s dates cannot be checked.")
        return
    happened = claim.incident.astimezone(clock.zone()).date()
    if policy.effective is None or policy.expires is None:
        yield Finding("warn", "The policy’s dates are not all known.")
    if policy.effective and happened < policy.effective:
        yield Finding("bad", f"It happened on {_day(happened)}, before the policy began on {_day(policy.effective)}.")
    elif policy.expires and happened > policy.expires:
        yield Finding("bad", f"It happened on {_day(happened)}, after the policy ended on {_day(policy.expires)}.")
    elif policy.effective and policy.expires:
        span = f"{_day(policy.effective)} to {_day(policy.expires)}"
        yield Finding("good", f"It happened within the policy’s time, {span}.")
    if (policy.status or "").upper() in _ENDED:
        yield Finding("warn", f"The policy is {(policy.status or '').lower()} now: check that it was in force then.")


def _of_whom(claim: Claim, policy: Policy) -> Iterator[Finding]:
    if claim.customer and policy.customer and claim.customer != policy.customer:
        yield Finding("bad", f"The claim is of {claim.customer}, the policy of {policy.customer}.")


def _limits(claim: Claim, policy: Policy) -> Iterator[Finding]:
    amount, deductible, limit = claim.estimated, policy.deductible, _limit(policy)
    if deductible is None and policy.product != "life":
        yield Finding("warn", "The policy’s deductible is not known.")
    if amount is None:
        yield Finding("warn", "There is no estimate to hold against the policy.")
        return
    if deductible is not None and amount <= deductible:
        yield Finding("bad", f"{dollars(amount)} is within the deductible of {dollars(deductible)}: nothing to pay.")
    elif deductible is not None:
        left = dollars(amount - deductible)
        yield Finding("good", f"{dollars(amount)} less the deductible of {dollars(deductible)} leaves {left}.")
    if limit is not None and amount > limit:
        yield Finding("bad", f"{dollars(amount)} is above the {dollars(limit)} that is insured.")
    decided, left_over = claim.final_amount if claim.is_decided else claim.proposed, _payable(claim, policy)
    if decided is not None and left_over is not None and decided > left_over:
        yield Finding("warn", f"{dollars(decided)} is more than the {dollars(left_over)} that the policy leaves.")


def _limit(policy: Policy) -> Decimal | None:
    """Dollars insured, where the policy says so as one amount."""
    return policy.coverage_amount if policy.product == "life" else policy.property_value


def _payable(claim: Claim, policy: Policy) -> Decimal | None:
    deductible = policy.deductible if policy.deductible is not None or policy.product != "life" else Decimal(0)
    if claim.estimated is None or deductible is None:
        return None
    left = max(claim.estimated - deductible, Decimal(0))
    limit = _limit(policy)
    return left if limit is None else min(left, limit)


def _day(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"
