"""What is sent and answered, in JSON Schema: requests are checked by it, and the OpenAPI document shows it.

Kept by hand as data and checked by fastjsonschema, which is 0.3 MB; django-ninja with pydantic is 18 MB on disk and
13 MB in each process, for a dozen flat objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fastjsonschema

from dashboard import keys
from dashboard.api.problems import invalid
from dashboard.repository.sessions import ACTIVITY_LIFE
from dashboard.repository.values import shorten

Schema = dict[str, Any]


def text(description: str, example: str, longest: int, **more: Any) -> Schema:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "description": description,
        "examples": [example],
    } | more


def word(description: str, *choices: str) -> Schema:
    return {"type": "string", "enum": list(choices), "description": description, "examples": [choices[0]]}


def thing(description: str, *required: str, **properties: Schema) -> Schema:
    """An object with these fields and no other."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(required or properties),
        "additionalProperties": False,
    }


def or_null(schema: Schema) -> Schema:
    choices = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | choices


PERSON = text("The customer's number.", "CUST001", 64)
ACCOUNT = text("The name that was typed at sign-in. However it is spelt, it counts for one account.", "CUST001", 150)
SAME_ACCOUNT = text("The account, as it is counted.", "CUST001", 64)
SESSION_ID = text("The session's id.", "portal:CUST001:9f2c41d07e55a1b3", 200)
DEVICE = text("What it runs on, in the document's form.", "Chrome 115.0|Windows 10", 200)
DEVICE_ID = text("The device's own number.", "device123", 64)
ADDRESS = text("The customer's network address.", "192.168.1.100", 64)
ACTIVITY = word(
    "How active the customer is, which sets the timeout: "
    + ", ".join(f"{level} {life // 60_000} min" for level, life in ACTIVITY_LIFE.items()),
    *ACTIVITY_LIFE,
)
PERMISSIONS: Schema = {
    "type": "array",
    "maxItems": 50,
    "uniqueItems": True,
    "items": {"type": "string", "minLength": 1, "maxLength": 64},
    "description": "What the customer may do there; told to whoever reads the session.",
    "examples": [["view_policies", "make_payments", "update_profile"]],
}
SECRET = text(
    "The session's secret. It is told here alone: keep it with the customer's browser or app.", "q7Vd...", 200
)
CODE = text("A code of six digits.", "123456", 64)
TOKEN = text("A reset token.", "Zk3p...", 200)
MOMENT = {"type": "string", "format": "date-time", "examples": ["2024-08-18T10:30:00Z"]}
UNTIL = MOMENT | {"description": "When it ends."}
LEFT = {"type": "integer", "minimum": 0, "description": "Seconds until then.", "examples": [1800]}

REQUESTS: dict[str, Schema] = {
    "PortalOpening": thing(
        "A customer has signed in to the portal.", "person", "device",
        person=PERSON, device=DEVICE, address=ADDRESS, permissions=PERMISSIONS, activity=ACTIVITY,
    ),
    "DeviceOpening": thing(
        "A customer has signed in to an app.", "kind", "person", "device_id", "device",
        kind=word("Which app.", *keys.DEVICES), person=PERSON, device_id=DEVICE_ID,
        device=DEVICE | {"examples": ["iPhone 12|iOS 15.0"]},
        app_version=text("The app's version.", "2.1.0", 32), address=ADDRESS,
    ),
    "Use": thing("A session was used.", activity=ACTIVITY) | {"required": []},
    "SignIn": thing("Whose sign-in it was.", account=ACCOUNT),
    "CodeRequest": thing("Who is to be sent a code.", account=ACCOUNT),
    "CodeCheck": thing("A code that was typed.", account=ACCOUNT, code=CODE),
    "ResetRequest": thing("Who has forgotten their password.", account=ACCOUNT),
    "ResetCheck": thing("A token that came back.", account=ACCOUNT, token=TOKEN),
}  # fmt: skip

ANSWERS: dict[str, Schema] = {
    "Opened": thing("A session that has begun.", id=SESSION_ID, secret=SECRET, until=UNTIL, seconds_left=LEFT),
    "Refreshed": thing("A session that goes on.", id=SESSION_ID, until=UNTIL, seconds_left=LEFT),
    "Session": thing(
        "A session that lives.",
        id=SESSION_ID,
        kind=word("Where it was opened.", "portal", *keys.DEVICES),
        person=PERSON,
        device=or_null(DEVICE),
        device_id=or_null(DEVICE_ID),
        address=or_null(ADDRESS),
        signed_in=or_null(MOMENT | {"description": "When it began, as far as that is kept."}),
        last_activity=or_null(MOMENT | {"description": "When it was last used."}),
        permissions=PERMISSIONS,
        activity=or_null(ACTIVITY),
        until=or_null(UNTIL),
        seconds_left=or_null(LEFT),
    ),
    "Ended": thing("How many ended.", ended={"type": "integer", "minimum": 0, "examples": [2]}),
    "Standing": thing(
        "How an account stands.",
        account=SAME_ACCOUNT,
        closed={"type": "boolean", "description": "Whether sign-in is closed just now.", "examples": [False]},
        failures={"type": "integer", "minimum": 0, "description": "Failed sign-ins that count.", "examples": [1]},
        level=or_null(word("The lockout in force.", *keys.LOCKOUT_LEVELS)),
        until=or_null(UNTIL | {"description": "When the lockout ends; null also for one without an end."}),
        seconds_left=or_null(LEFT),
    ),
    "Code": thing(
        "A code. It is kept as a digest alone: send it, and forget it.",
        account=SAME_ACCOUNT, code=CODE, until=UNTIL, seconds_left=LEFT,
    ),
    "Reset": thing(
        "A reset token. It is kept as a digest alone: send it, and forget it.",
        account=SAME_ACCOUNT, token=TOKEN, until=UNTIL, seconds_left=LEFT,
    ),
    "Verdict": thing(
        "Whether it was right. What was right is used up.",
        account=SAME_ACCOUNT, right={"type": "boolean", "examples": [True]},
    ),
    "Problem": {
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "The kind of problem."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "One sentence that a person may read."},
            "errors": {
                "type": "array",
                "items": thing("One field.", pointer={"type": "string"}, detail={"type": "string"}),
            },
            "until": or_null(UNTIL | {"description": "When a lockout ends."}),
            "seconds_left": or_null(LEFT),
        },
        "required": ["type", "title", "status", "detail"],
    },
}  # fmt: skip

_checks: dict[str, Callable[[Any], Any]] = {name: fastjsonschema.compile(schema) for name, schema in REQUESTS.items()}


def check(name: str, value: object) -> None:
    """Raises Refused, naming the first field that is not as this schema has it."""
    try:
        _checks[name](value)
    except fastjsonschema.JsonSchemaValueException as error:
        raise invalid(_wrong(name, value, error)) from None


def _wrong(name: str, value: object, error: fastjsonschema.JsonSchemaValueException) -> dict[str, str]:
    """The field (or fields), and words."""
    schema, at = REQUESTS[name], "/".join(error.path[1:])
    if error.rule == "required":
        return {each: f"{each} is needed." for each in schema["required"] if each not in value}  # type: ignore[operator]
    if error.rule == "additionalProperties":
        unknown = [each for each in value if each not in schema["properties"]]  # type: ignore[union-attr, attr-defined]
        return {shorten(unknown[0]): f"There is no such field. It takes {', '.join(schema['properties'])}."}
    rule = error.rule_definition
    asked = ", ".join(map(str, rule)) if isinstance(rule, list) else rule
    return {at: _WORDS.get(str(error.rule), "It is not as it should be.").format(asked)}


_WORDS = {
    "type": "It has to be of type {}.",
    "enum": "It has to be one of {}.",
    "minLength": "It is empty.",
    "maxLength": "It is longer than {} characters.",
    "maxItems": "It has more than {} entries.",
    "uniqueItems": "It has an entry twice.",
}
