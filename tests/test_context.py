"""What every page's frame is given."""

from __future__ import annotations

import pytest

from dashboard.context import navigation
from dashboard.permissions import Viewer
from dashboard.repository.agents import Scope

VIEWER = Viewer("SUP001", "Helen", "supervisor", "", Scope(None, None), 0)


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("/", "Overview"),
        ("/quotes/life/Q001/", "Quotes"),
        ("/customers/drift/", "Customers"),
        ("/segments/tier/gold/", "Customers"),
        ("/locations/dallas/75201/", "Customers"),
        ("/go/", None),
    ],
)
def test_the_navigation_says_where_one_is(path: str, here: str | None) -> None:
    assert [item.label for item in navigation(VIEWER, path) if item.current] == ([here] if here else [])
