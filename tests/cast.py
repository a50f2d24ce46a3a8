"""The people of every test, and how they come in: through the sign-in page, like everybody."""

from __future__ import annotations

from django.test import Client

AGENT, SECOND_AGENT, THIRD_AGENT = "AG001", "AG002", "AG003"
SUPERVISOR, ADMIN = "SUP001", "ADM001"
PASSWORD = "harbour-lantern-4711"


def signed_in(name: str, password: str = PASSWORD) -> Client:
    """A browser with this person's session. Two of the same person: the later one has it."""
    client = Client()
    response = client.post("/login/", {"username": name, "password": password})
    assert response.status_code == 302, response.content.decode()
    return client
