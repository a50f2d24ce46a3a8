"""Clients of the API. Whatever is answered to them has to be what the OpenAPI document says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fastjsonschema
import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import resolve
from redis import Redis

from dashboard import api_clients
from dashboard.api import openapi
from dashboard.api.operations import BASE
from tests import cast

DOCUMENT = json.loads(openapi.document())
JSON = "application/json"


class Caller:
    """A system with a token. `call` checks each answer by its schema in the document."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            given["Authorization"] = f"Bearer {self.token}"
        told = (
            {}
            if body is None
            else {"data": body if isinstance(body, str | bytes) else json.dumps(body), "content_type": JSON}
        )
        answer = Client().generic(method, BASE + path, headers=given, **told)
        as_told(method, path, answer)
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self("DELETE", path, **headers)


def as_told(method: str, path: str, answer: HttpResponse) -> None:
    """The answer's status and body are among those that the document has for this operation; it is never kept, sets no
    cookie, and depends on none.
    """
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies and "Cookie" not in answer.get("Vary", "")
    operation = operation_at(method, path)
    if operation is None:
        assert answer.status_code in (401, 403, 404, 405, 429)
        schema = DOCUMENT["components"]["schemas"]["Problem"]
    else:
        told = operation["responses"][str(answer.status_code)]
        if "content" not in told:
            assert answer.content == b""
            return
        ((kind, content),) = told["content"].items()
        assert answer["Content-Type"] == kind
        schema = DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    body = json.loads(answer.content)
    fastjsonschema.compile(schema)(body)
    if answer.status_code >= 400:
        assert body["status"] == answer.status_code and body["detail"]


def operation_at(method: str, path: str) -> dict[str, Any] | None:
    """The document's operation at an address; None where there is none."""
    route = resolve(BASE + path).route.replace("<str:", "{").replace(">", "}")
    found: dict[str, Any] | None = DOCUMENT["paths"].get(f"/{route}", {}).get(method.lower())
    return found


@pytest.fixture
def caller(db: None, store: Redis) -> Callable[..., Caller]:
    """Makes a client with these abilities (none given: all), and so many requests a minute."""
    made = []

    def make(*abilities: str, rate: int = 6_000) -> Caller:
        made.append(f"client{len(made)}")
        return Caller(api_clients.create(made[-1], abilities or tuple(api_clients.ABILITIES), rate, by=cast.ADMIN))  # type: ignore[arg-type]

    return make


@pytest.fixture
def portal(caller: Callable[..., Caller]) -> Caller:
    return caller()


@pytest.fixture
def staff(db: None, store: Redis) -> None:
    cast.accounts_made()


@pytest.fixture
def at_once() -> Iterator[Callable[[Sequence[Callable[[], Any]]], list[Any]]]:
    """Does all of these at the same moment, each in a thread of its own. The clients' table is read there, too: a test that
    asks for it is marked `django_db(transaction=True)`.
    """
    pool = ThreadPoolExecutor(12)

    def run(acts: Sequence[Callable[[], Any]]) -> list[Any]:
        barrier = threading.Barrier(len(acts))

        def one(act: Callable[[], Any]) -> Any:
            try:
                barrier.wait(10)
                return act()
            finally:
                connections.close_all()

        return list(pool.map(one, acts))

    yield run
    pool.shutdown()
