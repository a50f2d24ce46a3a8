"""Customers' sessions: opened, used, asked for and ended by the portal and the apps' servers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dashboard import clock, redis
from dashboard.api import problems
from dashboard.api.customers import person_called
from dashboard.api.operations import BASE, Answer, Call, operation
from dashboard.errors import NotFound
from dashboard.repository import portal_sessions, sessions
from dashboard.repository.security import account_of
from dashboard.repository.sessions import Opened, Session

_OVER = "No such session lives, or the secret is not its own."


@operation(
    "POST", "sessions/portal", "sessions", "Open a session in the portal",
    takes="PortalOpening", gives="Opened", status=201, repeats=True, also=(problems.LOCKED,),
)  # fmt: skip
def open_portal_session(call: Call) -> Answer:
    """After the customer's password and code were right. Sessions opened before live on; the customer's portal key
    tells of the latest. It is prolonged by each refresh, to the timeout of its activity level.
    """
    person = person_called(call.body["person"])
    told = {name: call.body[name] for name in ("permissions", "activity") if name in call.body}
    opened = sessions.open_portal(
        person,
        device=call.body["device"],
        address=call.body.get("address", ""),
        **told,
        account=account_of(person),
        token=call.token,
    )
    return _opened(opened)


@operation(
    "POST", "sessions/device", "sessions", "Open a session in an app",
    takes="DeviceOpening", gives="Opened", status=201, repeats=True, also=(problems.LOCKED,),
)  # fmt: skip
def open_device_session(call: Call) -> Answer:
    """The same in the mobile or tablet app, for two hours from each refresh. One that the device had is replaced."""
    person = person_called(call.body["person"])
    told = {name: call.body[name] for name in ("device", "app_version", "address") if name in call.body}
    opened = sessions.open_device(
        call.body["kind"], person, call.body["device_id"], **told, account=account_of(person), token=call.token
    )
    return _opened(opened)


@operation(
    "GET", "sessions/{id}", "sessions", "Ask for a session", gives="Session", secret=True, also=(problems.NOT_FOUND,)
)
def read_session(call: Call, id: str) -> Answer:
    """What it tells, and its time left. Asking does not prolong it."""
    found = portal_sessions.get(redis.client(), id, call.secret)
    if found is None:
        raise NotFound(_OVER)
    return Answer(_facts(found))


@operation(
    "POST", "sessions/{id}/refresh", "sessions", "Refresh a session",
    takes="Use", gives="Refreshed", secret=True, also=(problems.NOT_FOUND,),
)  # fmt: skip
def refresh_session(call: Call, id: str) -> Answer:
    """At each request of the customer's: prolongs it, all its keys at once. One that was ended or has run out never comes
    back. `activity` is what the portal knows; without it our rules decide, and an administrator's choice goes before both.
    """
    until = sessions.refresh_session(id, call.secret, activity=call.body.get("activity"))
    if until is None:
        raise NotFound(_OVER)
    return Answer({"id": id, **problems.until(until)})


@operation("DELETE", "sessions/{id}", "sessions", "End a session", status=204, secret=True, also=(problems.NOT_FOUND,))
def end_session(call: Call, id: str) -> Answer:
    """The customer signs out. Effective at once."""
    if not sessions.end(id, call.secret):
        raise NotFound(_OVER)
    return Answer(None, 204)


@operation(
    "DELETE", "people/{person}/sessions", "sessions", "Sign a customer out everywhere",
    gives="Ended", also=(problems.INVALID,),
)  # fmt: skip
def end_sessions(call: Call, person: str) -> Answer:
    """All sessions of a customer end: after a new password, or when they ask for it. Answers how many there were."""
    return Answer({"ended": sessions.end_all(person_called(person), call.by, "signed out everywhere")})


def _opened(opened: Opened) -> Answer:
    body = {"id": opened.id, "secret": opened.secret, **problems.until(opened.deadline)}
    return Answer(body, 201, {"Location": f"{BASE}sessions/{quote(opened.id)}"})


def _facts(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "kind": session.kind,
        "person": session.person,
        "device": session.device,
        "device_id": session.device_id,
        "address": session.address,
        "signed_in": clock.iso(session.signed_in) if session.signed_in else None,
        "last_activity": clock.iso(session.last_activity) if session.last_activity else None,
        "permissions": list(session.permissions),
        "activity": session.activity,
        **problems.until(session.deadline),
    }
