"""Six-digit codes and password reset tokens: issued to the calling system, which sends them, and verified once."""

from __future__ import annotations

from dashboard.api import problems
from dashboard.api.customers import open_account
from dashboard.api.operations import Answer, Call, operation
from dashboard.repository import codes, lockouts

_ALSO = (problems.LOCKED,)


@operation(
    "POST", "codes", "codes", "Issue a code",
    takes="CodeRequest", gives="Code", status=201, repeats=True, also=(*_ALSO, problems.CONFLICT),
)  # fmt: skip
def issue_code(call: Call) -> Answer:
    """A code for the second step, good for five minutes. Codes issued before hold no longer; five in a quarter of an hour
    are the most.
    """
    account = open_account(call.body["account"])
    issued = codes.issue_once("code", account, by=call.by, token=call.token)
    return Answer({"account": account, "code": issued.secret, **problems.until(issued.deadline)}, 201)


@operation(
    "POST", "codes/verify", "codes", "Verify a code",
    takes="CodeCheck", gives="Verdict", repeats=True, also=_ALSO,
)  # fmt: skip
def verify_code(call: Call) -> Answer:
    """A right code is used up: of any number who bring it at once one is told so. A wrong one counts as a failed sign-in,
    and the fifth ends the code. Report the sign-in, or open the session, behind it: both are refused if it was closed
    meanwhile.
    """
    # Counted behind the comparison, of which GUESSES are the most: a portal that sends a right code three times at once
    # must not close its customer's sign-in.
    account = open_account(call.body["account"])
    right = codes.redeem("code", account, call.body["code"], token=call.token)
    if not right:
        lockouts.begin(account, by=call.by, token=call.token_for("wrong"))
    return Answer({"account": account, "right": right})


@operation(
    "POST", "resets", "codes", "Issue a reset token",
    takes="ResetRequest", gives="Reset", status=201, repeats=True, also=(*_ALSO, problems.CONFLICT),
)  # fmt: skip
def issue_reset(call: Call) -> Answer:
    """For the link in a letter to who has forgotten the password, good for a quarter of an hour. Tokens issued before hold
    no longer; five in a quarter of an hour are the most.
    """
    account = open_account(call.body["account"])
    issued = codes.issue_once("reset", account, by=call.by, token=call.token)
    return Answer({"account": account, "token": issued.secret, **problems.until(issued.deadline)}, 201)


@operation(
    "POST", "resets/verify", "codes", "Verify a reset token",
    takes="ResetCheck", gives="Verdict", repeats=True, also=_ALSO,
)  # fmt: skip
def verify_reset(call: Call) -> Answer:
    """A right token is used up: verify it when the new password is there to be saved, then end all sessions of the
    customer. The fifth wrong one ends the token.
    """
    account = open_account(call.body["account"])
    return Answer({"account": account, "right": codes.redeem("reset", account, call.body["token"], token=call.token)})
