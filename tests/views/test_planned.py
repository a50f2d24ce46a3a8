"""Planning, seeing and withdrawing what holds from a later day."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock
from dashboard.repository import planned, policies
from tests import book


@pytest.fixture
def number(demo: None) -> str:
    return book.policy()


def plan(client: Client, store: Redis, number: str) -> None:
    seen = policies.get(store, "auto", number).seen
    on = (clock.today() + timedelta(days=9)).isoformat()
    client.post(f"/policies/auto/{number}/cancel/", {"effective": on, "reason": "sold", "seen": seen})


def test_it_stands_on_the_policy_and_in_the_queue_until_it_is_withdrawn(
    agent_client: Client, store: Redis, number: str
) -> None:
    plan(agent_client, store, number)
    page = agent_client.get(f"/policies/auto/{number}/").content.decode()
    assert "Cancellation planned for" in page and "Withdraw" in page
    assert f"pl-auto-{number}" in agent_client.get("/policies/renewals/").content.decode()
    answer = agent_client.post(f"/policies/auto/{number}/plan/withdraw/", follow=True)
    assert b"was withdrawn" in answer.content
    assert planned.get(store, "auto", number) is None


def test_others_see_nothing_of_it(agent_client: Client, second_agent_client: Client, store: Redis, number: str) -> None:
    plan(agent_client, store, number)
    assert f"pl-auto-{number}" not in second_agent_client.get("/policies/renewals/").content.decode()
    second_agent_client.post(f"/policies/auto/{number}/plan/withdraw/")
    assert planned.get(store, "auto", number)


def test_admins_and_links_withdraw_nothing(
    agent_client: Client, admin_client: Client, store: Redis, number: str
) -> None:
    plan(agent_client, store, number)
    assert admin_client.post(f"/policies/auto/{number}/plan/withdraw/").status_code == 403
    assert agent_client.get(f"/policies/auto/{number}/plan/withdraw/").status_code == 405
    assert planned.get(store, "auto", number)


def test_withdrawing_twice_with_one_form_is_one(agent_client: Client, store: Redis, number: str) -> None:
    plan(agent_client, store, number)
    for _ in range(2):
        answer = agent_client.post(f"/policies/auto/{number}/plan/withdraw/", {"token": "t" * 32}, follow=True)
        assert b"was withdrawn" in answer.content
