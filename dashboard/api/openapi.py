"""The OpenAPI document: made from the operations and schemas that requests are checked by, so that it cannot lag behind."""

from __future__ import annotations

import functools
import json
from typing import Any

from dashboard.api import codes, sessions, sign_ins
from dashboard.api.operations import BASE, Operation, every
from dashboard.api.problems import Kind
from dashboard.api.schemas import ACCOUNT, ANSWERS, PERSON, REQUESTS, SESSION_ID
from dashboard.api_clients import ABILITIES

ENTERED = (sessions, sign_ins, codes)
"""The modules whose operations there are."""

_SLOTS = {"id": SESSION_ID, "person": PERSON, "account": ACCOUNT}
_SECRET = {
    "name": "Session-Secret",
    "in": "header",
    "required": True,
    "description": "The secret that opening the session answered.",
    "schema": {"type": "string"},
}
_REPEAT = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "1 to 128 visible characters of your own. The same request sent again with the same key within a day does "
        "nothing and gets the same answer."
    ),
    "schema": {"type": "string", "maxLength": 128},
}


@functools.cache
def document() -> str:
    return json.dumps(built(), indent=1)


def built() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tideline API",
            "version": "1",
            "description": "For the customer portal and the mobile apps' servers: customers' sessions, failed sign-ins, "
            "codes and reset tokens. Moments are UTC.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": name, "description": words} for name, words in ABILITIES.items()],
        "paths": _paths(),
        "components": {
            "schemas": REQUESTS | ANSWERS,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An administrator makes a client and its token under /api/clients/.",
                }
            },
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for each in every():
        paths.setdefault(BASE + each.path, {})[each.method.lower()] = _operation(each)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.ability],
        "summary": operation.summary,
        "description": operation.description,
        "responses": _responses(operation),
    }
    if parameters := _parameters(operation):
        told["parameters"] = parameters
    if operation.takes:
        content = {"application/json": {"schema": _named(operation.takes), "example": example(operation.takes)}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    slots = [{"name": slot, "in": "path", "required": True, "schema": _SLOTS[slot]} for slot in operation.slots]
    headers = [_SECRET] * operation.secret + [_REPEAT] * operation.repeats
    return [*slots, *headers]


def _responses(operation: Operation) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if operation.gives:
        done["content"] = {"application/json": {"schema": _named(operation.gives)}}
    return {str(operation.status): done} | {str(kind.status): _problem(kind) for kind in operation.problems}


def _problem(kind: Kind) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _named("Problem")}}
    return {"description": f"{kind.title}. {kind.means}", "content": content}


def _named(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def example(schema: str) -> dict[str, Any]:
    """An object that this schema takes, from its fields' own examples."""
    fields = (REQUESTS | ANSWERS)[schema]["properties"]
    return {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
