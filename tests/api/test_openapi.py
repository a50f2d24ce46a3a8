"""The OpenAPI document: valid JSON, nothing left out, nothing that is not there."""

from __future__ import annotations

import json
import re
from typing import Any

import fastjsonschema
import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from dashboard.api.openapi import example
from dashboard.api.operations import BASE, OPERATIONS
from dashboard.api.schemas import ANSWERS, REQUESTS
from tests.api.conftest import Caller


@pytest.fixture
def document() -> dict[str, Any]:
    """As anybody gets it, without a token."""
    answer = Client().get(BASE + "openapi.json")
    assert answer.status_code == 200 and answer["Content-Type"] == "application/json"
    return dict(json.loads(answer.content))


def addresses(resolver: URLResolver, head: str = "/") -> dict[str, str]:
    """Every address there is, by its form in the document, with its name."""
    found = {}
    for each in resolver.url_patterns:
        path = head + str(each.pattern)
        if isinstance(each, URLResolver):
            found |= addresses(each, path)
        elif isinstance(each, URLPattern):
            found[re.sub(r"<\w+:(\w+)>", r"{\1}", path)] = each.name or ""
    return found


def test_it_names_every_address_of_the_api_with_every_method(document: dict[str, Any], portal: Caller) -> None:
    routes = {path for path in addresses(get_resolver()) if path.startswith(BASE)}
    assert routes - {BASE + "openapi.json", BASE + "^"} == set(document["paths"])
    for path, operations in document["paths"].items():
        answer = portal("TRACE", path.removeprefix(BASE).format(id="x", person="x", account="x"))
        assert answer["Allow"].lower() == ", ".join(sorted(operations))


def test_whatever_it_refers_to_is_in_it(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    named = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', text))
    assert named == set(document["components"]["schemas"])
    for path, operations in document["paths"].items():
        for told in operations.values():
            slots = [each["name"] for each in told.get("parameters", []) if each["in"] == "path"]
            assert slots == re.findall(r"{(\w+)}", path)
            assert set(told["tags"]) <= {tag["name"] for tag in document["tags"]}
            assert told["description"] and told["summary"] and {"401", "403", "429"} <= set(told["responses"])
    ids = [told["operationId"] for operations in document["paths"].values() for told in operations.values()]
    assert len(set(ids)) == len(ids) == len(OPERATIONS)


@pytest.mark.parametrize("name", [*REQUESTS, *ANSWERS])
def test_its_schemas_take_their_own_examples_and_no_other_fields(name: str) -> None:
    check = fastjsonschema.compile((REQUESTS | ANSWERS)[name])
    if name == "Problem":
        return
    check(example(name))
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        check({**example(name), "more": 1})
