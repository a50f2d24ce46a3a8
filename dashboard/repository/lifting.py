"""Taking back what stands against accounts or for them: lockouts and counted failures, codes and reset tokens.

An account's lockouts and its count go together: one without the other would close it at its next failure, or leave it
closed with nothing counted. One transaction for as many as a page names; more are bulk work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis import Redis

from dashboard import keys
from dashboard.errors import NotFound
from dashboard.repository import audit, jobs, security
from dashboard.repository.security import KINDS, Kind, Matter
from dashboard.repository.store import Change, change

LIFT = "lift"
"""The kind of bulk work that this is."""

_CLOSING: tuple[Kind, ...] = ("lock", "failures")
_SECRETS: tuple[Kind, ...] = ("code", "reset")
_TAKEN_BACK = {"code": "Sign-in code", "reset": "Password reset"}


@dataclass(frozen=True)
class Lifted:
    """What was lifted: accounts whose sign-in is open again, or whose failures are forgotten; how many codes and tokens
    were taken back; how many of those named were over already.
    """

    opened: tuple[str, ...]
    taken_back: int
    gone: int


def chosen(client: Redis, references: Sequence[str]) -> list[Matter]:
    """What these references mean, as far as it stands; for an account's lockout or count both of them. Three round
    trips for those, four more for each security.READ codes and tokens that their accounts have.
    """
    return list(security.load(client, _ids(client, references)).values())


def lift(references: Sequence[str], *, by: str, token: str | None = None) -> Lifted:
    """Open sign-in again and forget the failures, take codes and tokens back: all in one transaction, each on record.

    A failure at the same moment is counted before, and forgotten with the others, or after, as the first: the keys are
    watched from before they are looked at. Eleven round trips, however many there are.
    """
    named = list(dict.fromkeys(references))

    def action(draft: Change) -> list[str]:
        ids = _ids(draft.client, named)
        if not ids:
            return []
        draft.watch(*(name for each in ids for name in security.names_of(each)))
        standing = security.load(draft.client, ids)
        for member in standing:
            draft.delete(*security.names_of(member))
        _record(draft, list(standing.values()), by)
        security.note(draft, dict.fromkeys(ids))
        return [matter.reference for matter in standing.values()]

    return _outcome(named, change(action, token=token))


def _outcome(named: Sequence[str], lifted: Sequence[str]) -> Lifted:
    opened = dict.fromkeys(_account(each) for each in lifted if _kind(each) in _CLOSING)
    taken_back = [each for each in lifted if _kind(each) in _SECRETS]
    gone = [each for each in named if _account(each) not in opened and each not in taken_back]
    return Lifted(tuple(opened), len(taken_back), len(gone))


def _record(draft: Change, standing: Sequence[Matter], by: str) -> None:
    """For each account that it is on record once, for each code and token by itself."""
    closed = {matter.account for matter in standing if matter.kind == "lock"}
    for account in dict.fromkeys(matter.account for matter in standing if matter.kind in _CLOSING):
        done = "Sign-in opened again" if account in closed else "Failed sign-ins forgotten"
        audit.append(draft, audit.SECURITY, account, text=f"{done} by {by}", by=by)
    for matter in standing:
        if matter.kind in _SECRETS:
            text = f"{_TAKEN_BACK[matter.kind]} taken back by {by}"
            audit.append(draft, audit.SECURITY, matter.account, text=text, by=by)


# -- references


def _ids(client: Redis, references: Sequence[str]) -> list[str]:
    """The ids that these references mean. Lockouts and counts need no look; codes and tokens are found in the index."""
    wanted = [each for each in dict.fromkeys(references) if _is_reference(each)]
    accounts = dict.fromkeys(_account(each) for each in wanted if _kind(each) in _CLOSING)
    ids = [f"{kind}:{account}" for account in accounts for kind in _CLOSING]
    secret = {each for each in wanted if _kind(each) in _SECRETS}
    if secret:
        owners = sorted({_account(each) for each in secret})
        kinds = [kind for kind in _SECRETS if any(_kind(each) == kind for each in secret)]
        found = security.every(client, kinds, owners)
        ids += [matter.id for matter in found if matter.reference in secret]
    return ids


def _is_reference(text: str) -> bool:
    kind, _, rest = text.partition(":")
    return kind in KINDS and keys.is_identifier(rest.partition(":")[0])


def _kind(reference: str) -> str:
    return reference.partition(":")[0]


def _account(reference: str) -> str:
    return reference.split(":")[1] if ":" in reference else ""


# -- as bulk work


def _lift_one(member: str, params: Mapping[str, str], by: str, token: str) -> str:
    done = lift([member], by=by, token=token)
    if done.gone:
        raise NotFound("It was over already.")
    return "lifted"


jobs.register(LIFT, _lift_one)
