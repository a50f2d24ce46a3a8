"""Sign-ins that the portal and the apps verify: counted on the same ladder of lockouts as ours."""

from __future__ import annotations

from dashboard import redis
from dashboard.api import problems
from dashboard.api.customers import account_called
from dashboard.api.operations import Answer, Call, operation
from dashboard.repository import lockouts, security


@operation(
    "POST", "sign-ins/failures", "sign-ins", "Report a failed sign-in",
    takes="SignIn", gives="Standing", repeats=True, also=(problems.LOCKED,),
)  # fmt: skip
def report_failure(call: Call) -> Answer:
    """A wrong password. The third, fifth and tenth in a row close sign-in for 15 minutes, an hour and a day: `closed` says
    whether this one did. While it is closed nothing counts: do not verify what is typed then, and do not tell whether it
    was right.
    """
    account = account_called(call.body["account"])
    attempt = lockouts.begin(account, by=call.by, token=call.token)
    level = lockouts.level_at(attempt.number) if attempt.closes else None
    return _standing(account, attempt.number, level, attempt.closes)


@operation(
    "POST", "sign-ins/successes", "sign-ins", "Report a right sign-in",
    takes="SignIn", gives="Standing", repeats=True, also=(problems.LOCKED,),
)  # fmt: skip
def report_success(call: Call) -> Answer:
    """Password and code were right: failures before it are forgiven. Refused while sign-in is closed: the customer is then
    not let in, however right they were.
    """
    account = account_called(call.body["account"])
    lockouts.forgive(account, token=call.token)
    return _standing(account, 0, None, None)


@operation("GET", "sign-ins/{account}", "sign-ins", "Ask whether sign-in is closed", gives="Standing")
def read_standing(call: Call, account: str) -> Answer:
    """Before a password is verified. An account that nobody has answers like every other."""
    account = account_called(account)
    lock, failures = f"lock:{account}", f"failures:{account}"
    found = security.load(redis.client(), [lock, failures])
    counted = (found[failures].failures or 0) if failures in found else 0
    if lock not in found:
        return _standing(account, counted, None, None)
    return _standing(account, counted, found[lock].level, found[lock].deadline, closed=True)


def _standing(account: str, failures: int, level: str | None, until: int | None, *, closed: bool = False) -> Answer:
    closed = closed or until is not None
    return Answer({"account": account, "closed": closed, "failures": failures, "level": level, **problems.until(until)})
