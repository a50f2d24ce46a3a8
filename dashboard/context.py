"""What every template may use: the viewer, navigation, appearance, the server's clock. Never asks the store, so that
error pages can be shown when it is away.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from dashboard import clock
from dashboard.permissions import ROLES, Role, Viewer
from dashboard.repository.sessions import WORKSTATION_LIFE

THEMES = ("light", "dark", "system")


@dataclass(frozen=True)
class Item:
    """One entry of the navigation. `icon` is lucide's name."""

    label: str
    icon: str
    url: str
    current: bool


@dataclass(frozen=True)
class Navigation:
    """The entries by their place on a phone: in the bar, and behind its last button. `here`: the current one of those."""

    bar: list[Item]
    more: list[Item]

    @property
    def here(self) -> Item | None:
        return next((item for item in self.more if item.current), None)


_BAR = 6
"""Entries and buttons that a phone's bar has room for."""
_NAV: tuple[tuple[str, str, str, tuple[Role, ...]], ...] = (
    ("Overview", "layout-dashboard", "overview", ROLES),
    ("Quotes", "timer", "quotes", ROLES),
    ("Policies", "shield-check", "policies", ROLES),
    ("Claims", "life-buoy", "claims", ROLES),
    ("Customers", "users", "customers", ROLES),
    ("Metrics", "chart-column", "metrics", ROLES),
    ("Compliance", "scale", "compliance", ("supervisor", "admin")),
    ("Sessions", "monitor-smartphone", "sessions", ("admin",)),
    ("Security", "shield-alert", "security", ("admin",)),
    ("Keys", "key-round", "keys", ("admin",)),
    ("Server", "server", "server", ("admin",)),
)

_ASIDE = {"segments": "/customers/", "locations": "/customers/", "staff": "/security/", "api": "/security/"}
"""Sections without an entry of their own, and the one they belong to."""


def shell(request: HttpRequest) -> dict[str, Any]:
    viewer: Viewer | None = getattr(request, "viewer", None)
    return {
        "viewer": viewer,
        "theme": theme_of(request),
        "now_ms": clock.now_ms(),
        "nav": folded(navigation(viewer, request.path) if viewer else []),
        "session_deadline": viewer.deadline if viewer else None,
        "session_lifetime": WORKSTATION_LIFE,
        "form_token": uuid.uuid4().hex,
    }


def navigation(viewer: Viewer, path: str) -> list[Item]:
    """The pages of this person's role."""
    return [
        Item(label, icon, url, _is_current(url, path))
        for label, icon, name, roles in _NAV
        if viewer.role in roles
        for url in [reverse(name)]
    ]


def folded(items: list[Item]) -> Navigation:
    """All of them in the bar if they fit; else its last place is taken by the button that shows the rest."""
    room = _BAR if len(items) <= _BAR else _BAR - 1
    return Navigation(items[:room], items[room:])


def theme_of(request: HttpRequest) -> str:
    chosen = request.COOKIES.get("theme", "")
    return chosen if chosen in THEMES else "system"


def _is_current(url: str, path: str) -> bool:
    section = _ASIDE.get(path.split("/")[1], path)
    return path == url if url == "/" else section.startswith(url)
