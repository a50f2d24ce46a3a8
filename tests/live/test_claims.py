"""What the follower does for claims: none is lost, they go where their policy goes, and pages hear before the end."""

from __future__ import annotations

import json
import time

from redis import Redis
from redis.client import PubSub

from dashboard import clock, keys
from dashboard.live.follower import Follower
from dashboard.repository import agents, claims
from dashboard.repository.agents import Scope
from dashboard.repository.claims import Filter
from tests.live.test_follower import PATIENCE, follower, told, until  # noqa: F401 (fixtures)

EVERYTHING = Scope()


def listed(store: Redis, stage: str, scope: Scope = EVERYTHING) -> list[str]:
    return [row.number for row in claims.listing(store, scope, Filter(), stage).rows]  # type: ignore[arg-type]


def test_trap_25_a_claim_of_another_tool_lapses_into_a_list(store: Redis, follower: Follower) -> None:  # noqa: F811
    store.set("claim:temp:CLM003", "Hail - Initial Report - Customer: CUST001", px=700)
    until(lambda: store.exists(keys.claim_snapshot("CLM003")))
    until(lambda: "CLM003" in store.zrange(claims.INDEX.key("all", "deadline"), 0, -1))
    until(lambda: listed(store, "lapsed") == ["CLM003"])
    assert listed(store, "reported") == []


def test_a_claim_moves_with_its_policys_agent_in_either_layout(store: Redis, follower: Follower) -> None:  # noqa: F811
    agents.save(store, {"AG001": "dallas", "AG002": "houston"})
    store.mset({"policy:auto:100001:status": "ACTIVE", "policy:auto:100001:agent": "AG001"})
    store.hset("policy:home:200001", mapping={"status": "ACTIVE", "agent": "AG001"})
    store.set("claim:temp:CLM001", "Hail - Policy: auto:100001", ex=1000)
    store.set("claim:temp:CLM002", "Hail - Policy: home:200001", ex=1000)
    cell = claims.INDEX.key(claims.INDEX.cell(stage="reported", branch="houston", product="auto"), "deadline")
    home = claims.INDEX.key(claims.INDEX.cell(stage="reported", branch="houston", product="home"), "deadline")
    until(lambda: len(listed(store, "reported", Scope(frozenset({"dallas"})))) == 2)
    store.set("policy:auto:100001:agent", "AG002")
    store.hset("policy:home:200001", "agent", "AG002")
    until(lambda: store.zrange(cell, 0, -1) == ["CLM001"] and store.zrange(home, 0, -1) == ["CLM002"])


def test_pages_hear_when_a_claim_comes_within_the_last_hour(
    store: Redis,
    follower: Follower,  # noqa: F811
    told: PubSub,  # noqa: F811
) -> None:
    store.set("claim:temp:CLM003", "Hail", px=clock.HOUR + 1_500)
    until(lambda: store.exists(keys.claim_snapshot("CLM003")))
    while told.get_message(timeout=0.3):
        pass
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        message = told.get_message(timeout=0.1)
        if message and "claims" in json.loads(message["data"]):
            break
    assert claims.get(store, "CLM003").escalation == "critical"
    assert time.monotonic() < end
