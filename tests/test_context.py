"""What every page's frame is given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.context import folded, navigation
from dashboard.permissions import Role, Viewer
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


@pytest.mark.parametrize(("role", "behind"), [("agent", 0), ("supervisor", 2), ("admin", 6)])
def test_a_phones_bar_takes_six_and_the_last_opens_what_has_no_room(role: Role, behind: int) -> None:
    items = navigation(replace(VIEWER, role=role), "/")
    nav = folded(items)
    assert (nav.bar + nav.more, len(nav.more)) == (items, behind)
    assert len(nav.bar) + bool(nav.more) <= 6


def test_the_button_of_the_rest_says_where_one_is() -> None:
    assert folded(navigation(VIEWER, "/quotes/")).here is None
    here = folded(navigation(VIEWER, "/compliance/holds/")).here
    assert here is not None and here.label == "Compliance"
