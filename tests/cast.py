"""The people of every test, and how they come in."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client, RequestFactory

from dashboard import accounts, signin
from dashboard.browser_sessions import SessionStore
from dashboard.models import Staff

AGENT, SECOND_AGENT, THIRD_AGENT = "AG001", "AG002", "AG003"
SUPERVISOR, ADMIN = "SUP001", "ADM001"
PASSWORD = "harbour-lantern-4711"


def accounts_made() -> None:
    """The five accounts, as `accounts.create_demo` makes them: made by it once, written as rows from then on."""
    for table, rows in _rows():
        table.objects.bulk_create([copy(row) for row in rows], ignore_conflicts=True)


@cache
def _rows() -> list[tuple[Any, list[Any]]]:
    users = get_user_model()
    tables = (Group, users, users.groups.through, Staff)
    with transaction.atomic():
        accounts.create_demo(PASSWORD)
        found = [(table, list(table.objects.all())) for table in tables]
        transaction.set_rollback(True)
    return found


def signed_in(name: str) -> Client:
    """A browser with this person's session, as the last step of signing in leaves it. Two of the same person: the later
    one has it. By name and password: `comes_in`.
    """
    client = Client()
    request = RequestFactory().post("/login/")
    request.session = SessionStore()
    signin.sign_in(request, get_user_model().objects.get(username=name))
    request.session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key
    return client


def comes_in(name: str, password: str = PASSWORD) -> bool:
    """Whether the sign-in page lets them in."""
    return Client().post("/login/", {"username": name, "password": password}).status_code == 302
