"""What may be wrong with a server: each rule on a real one where that state can be made, else on what INFO would say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from dashboard import clock, keys, redis
from dashboard.redis import EmbeddedServer
from dashboard.repository import server, server_rules
from dashboard.repository.server import Follower, Look, Slow
from dashboard.repository.server_rules import RULES


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Redis]:
    """A server as `serve` starts it, for one test to spoil."""
    embedded = EmbeddedServer(tmp_path)
    embedded.start()
    yield redis.connect(embedded.url)
    embedded.stop()


def at_work(client: Redis) -> None:
    """A follower that has just taken a sample and holds its lease."""
    client.set(keys.lease(server.LEASE), "me", px=5_000)
    server.take(client, holder="me", since=clock.now_ms(), lag=60, notified=True)


def names(client: Redis) -> set[str]:
    return {each.name for each in server_rules.found(server.look(client))}


def words(look: Look, name: str) -> str | None:
    return next(rule for rule in RULES if rule.name == name).says(look)


def test_the_embedded_server_with_its_follower_has_nothing_wrong(own: Redis) -> None:
    at_work(own)
    assert names(own) == set()
    assert server_rules.at_start(own) == []


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("persistence", {"appendonly": "no"}, "Persistence is off"),
        ("snapshots", {"appendonly": "no", "save": "3600 1"}, "loses minutes"),
        ("fsync", {"appendfsync": "everysec"}, "the last second"),
        ("fsync", {"appendfsync": "no"}, "half a minute"),
        ("volatile", {"maxmemory-policy": "volatile-lru"}, "audit records"),
        ("allkeys", {"maxmemory-policy": "allkeys-lfu"}, "any record"),
        ("notifications", {"notify-keyspace-events": "KEx"}, "notifications are off"),
    ],
)
def test_a_setting_that_is_unfit_is_named(own: Redis, name: str, settings: dict[str, str], word: str) -> None:
    at_work(own)
    for each, value in settings.items():
        own.config_set(each, value)
    (finding,) = server_rules.found(server.look(own))
    assert finding.name == name and word in finding.words
    assert finding.remedy.startswith("Set ")


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [("maxmemory-policy", "volatile-ttl", "audit records"), ("appendonly", "no", "Persistence is off"),
     ("appendfsync", "everysec", "appendfsync")],
)  # fmt: skip
def test_the_start_says_what_is_wrong_with_the_set_up(own: Redis, setting: str, value: str, word: str) -> None:
    """Trap 31: eviction and persistence are looked at before anybody relies on them."""
    own.config_set(setting, value)
    (warning,) = server_rules.at_start(own)
    assert word in warning and " Set " in warning


def test_the_start_turns_notifications_on_and_says_nothing_of_the_moment(own: Redis) -> None:
    own.config_set("notify-keyspace-events", "")
    own.config_set("maxmemory", own.info("memory")["used_memory"] + 1_000)
    assert server_rules.at_start(own) == []


def test_notifications_that_may_not_be_set_are_named(own: Redis) -> None:
    own.config_set("notify-keyspace-events", "")
    own.execute_command("ACL SETUSER limited on nopass ~* &* +@all -config")
    address = own.connection_pool.connection_kwargs["path"]
    limited = Redis(unix_socket_path=address, username="limited", password="x", decode_responses=True)
    (warning,) = server_rules.at_start(limited)
    assert "notify-keyspace-events" in warning


def test_a_server_that_tells_us_little_breaks_nothing(own: Redis) -> None:
    own.execute_command("ACL SETUSER blind on nopass ~* &* +@all -config -info -slowlog")
    address = own.connection_pool.connection_kwargs["path"]
    blind = Redis(unix_socket_path=address, username="blind", password="x", decode_responses=True)
    look = server.look(blind)
    assert look.info == {} and look.settings == {} and look.slow == []
    assert server_rules.found(look)


def test_memory_that_nears_its_end_is_named(own: Redis) -> None:
    at_work(own)
    used = own.info("memory")["used_memory"]
    own.config_set("maxmemory", used * 2)
    assert "maxmemory" not in names(own)
    own.config_set("maxmemory", int(own.info("memory")["used_memory"] / 0.95))
    assert "maxmemory" in names(own)


def test_keys_that_were_thrown_away_are_named(own: Redis) -> None:
    for number in range(200):
        own.set(f"filler:{number}", "x" * 1_000)
    own.config_set("maxmemory-policy", "allkeys-random")
    own.config_set("maxmemory", own.info("memory")["used_memory"] - 20_000)
    own.set("one more", "x")
    found = {each.name: each for each in server_rules.found(server.look(own))}
    assert "thrown away" in found["evicted"].words


def test_a_slow_command_is_named_and_its_words_are_not(own: Redis) -> None:
    at_work(own)
    own.config_set("slowlog-log-slower-than", "0")
    own.set(keys.customer_field("CUST001", "profile"), "Wilhelmina Quackenbush")
    own.config_set("slowlog-log-slower-than", "-1")
    look = server.look(own)
    (finding,) = server_rules.found(look)
    assert finding.name == "slow" and "slow command" in finding.words
    assert any((each.command, each.kind) == ("SET", "customer:{customer}:{field}") for each in look.slow)
    assert "Quackenbush" not in repr(look.slow) and "CUST001" not in repr(look.slow)


def test_connections_that_were_rejected_are_named(own: Redis) -> None:
    at_work(own)
    own.config_set("maxclients", len(own.client_list()))
    address = own.connection_pool.connection_kwargs["path"]
    with pytest.raises(RedisConnectionError):
        Redis(unix_socket_path=address).ping()
    assert names(own) == {"rejected"}


def test_a_replica_is_named(own: Redis) -> None:
    own.replicaof("127.0.0.1", "1")
    assert "replica" in names(own)


def test_a_follower_that_is_gone_or_silent_is_named(own: Redis) -> None:
    (finding,) = server_rules.found(server.look(own))
    assert "Nobody holds" in finding.words
    at_work(own)
    own.hset(keys.follower_status(), "seen", clock.now_ms() - 30_000)
    (finding,) = server_rules.found(server.look(own))
    assert "silent" in finding.words


def test_a_follower_that_falls_behind_is_named(own: Redis) -> None:
    own.set(keys.lease(server.LEASE), "me", px=5_000)
    server.take(own, holder="me", since=clock.now_ms(), lag=4_200, notified=True)
    (finding,) = server_rules.found(server.look(own))
    assert finding.name == "behind" and "4.2 s" in finding.words


@pytest.mark.parametrize(
    ("name", "info", "word"),
    [
        ("version", {"redis_version": "6.2.14"}, "6.2.14; 7 or later"),
        ("version", {"redis_version": "unstable"}, "7 or later"),
        ("append", {"aof_last_write_status": "err"}, "aof_last_write_status"),
        ("append", {"aof_last_bgrewrite_status": "err"}, "aof_last_bgrewrite_status"),
        ("save", {"rdb_last_bgsave_status": "err"}, "snapshot failed"),
        ("fragmented", {"used_memory": 200 << 20, "used_memory_rss": 420 << 20}, "2.1 times"),
        ("machine", {"used_memory_rss": 95, "total_system_memory": 100}, "95%"),
    ],
)
def test_what_info_would_say_is_named(name: str, info: dict[str, Any], word: str) -> None:
    assert word in (words(Look(info, {}), name) or "")


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("version", {"redis_version": "7.2.4"}),
        ("version", {"redis_version": "10.0"}),
        ("append", {"aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok"}),
        ("save", {"rdb_last_bgsave_status": "ok"}),
        ("fragmented", {"used_memory": 1 << 20, "used_memory_rss": 30 << 20}),  # a small store always looks it
        ("machine", {"used_memory_rss": 50, "total_system_memory": 100}),
        ("maxmemory", {"used_memory": 50, "maxmemory": 0}),
    ],
)
def test_what_is_as_it_should_be_is_not_named(name: str, info: dict[str, Any]) -> None:
    assert words(Look(info, {}), name) is None


def test_old_entries_of_the_slow_log_are_no_news() -> None:
    slow = Slow(1, clock.now() - timedelta(minutes=16), timedelta(seconds=1), "KEYS", "")
    look = Look({}, {}, slow=[slow])
    assert words(look, "slow") is None
    assert "KEYS" in (words(replace(look, slow=[replace(slow, at=clock.now())]), "slow") or "")


def test_the_worst_comes_first() -> None:
    look = Look(
        {"role": "slave", "rejected_connections": 3, "redis_version": "8.0"}, {}, Follower("", 1, None, None, 1, True)
    )
    tones = [each.tone for each in server_rules.found(look)]
    assert tones == sorted(tones) and {"bad", "warn"} <= set(tones)


def test_every_rule_says_what_to_do_and_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.remedy.endswith(".") for rule in RULES)
