"""The cast, signed in: an agent (Dallas, every product), a second one (Houston, no life), a supervisor, an admin, and
somebody from outside.
"""

from __future__ import annotations

import pytest
from django.test import Client
from redis import Redis

from dashboard import accounts
from tests import cast


@pytest.fixture
def demo(db: None, store: Redis) -> None:
    """The five accounts, their branches in the store."""
    cast.accounts_made()
    accounts.sync_directory()


@pytest.fixture
def agent_client(demo: None) -> Client:
    return cast.signed_in(cast.AGENT)


@pytest.fixture
def second_agent_client(demo: None) -> Client:
    return cast.signed_in(cast.SECOND_AGENT)


@pytest.fixture
def supervisor_client(demo: None) -> Client:
    return cast.signed_in(cast.SUPERVISOR)


@pytest.fixture
def admin_client(demo: None) -> Client:
    return cast.signed_in(cast.ADMIN)


@pytest.fixture
def anonymous_client(demo: None) -> Client:
    return Client()
