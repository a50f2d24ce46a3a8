"""Nobody waits while all keys are looked at, put right or deleted: how long a client waited for an answer meanwhile, and
the longest command by the server's own account, at a million keys, beside what the document's KEYS does to them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from dashboard.redis import EmbeddedServer
from dashboard.repository import census, jobs, key_batch
from tests.pings import pings

KEYS = int(os.environ.get("STALL_KEYS", "1000000"))
LIMIT = 5.0
"""ms that nobody may have to wait for us."""
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def filled(server: EmbeddedServer) -> Iterator[tuple[Redis, EmbeddedServer]]:
    """A store of a million keys: test data, and ghosts of quotes."""
    from dashboard.redis import client

    store = client()
    store.flushall()
    step = 50_000
    for start in range(0, KEYS, step):  # small enough that the client's patience lasts
        store.execute_command("DEBUG", "POPULATE", step, f"test:{start}", 16)
    store.mset({f"quote:auto:Q{number}:risk_level": "HIGH" for number in range(2_000)})
    yield store, server
    store.flushall()


@pytest.fixture(scope="module")
def machine(filled: tuple[Redis, EmbeddedServer]) -> float:
    """ms: what the machine alone does to a client of this store, beside a process that is busy and asks the store nothing."""
    server, until = filled[1], time.monotonic() + 20
    with pings(str(server.socket), server.pid or 0) as waits:
        while time.monotonic() < until:
            sum(range(1_000))
    print(f"Nothing asked: longest wait {waits.longest:.2f} ms, in 95 of 100 seconds below {waits.usual:.2f} ms")
    return waits.usual


def waited(filled: tuple[Redis, EmbeddedServer], work: Callable[[Redis], object], what: str) -> tuple[float, float]:
    """ms: how long a client waits at most, in 95 of 100 seconds; and the longest that the server was busy with one thing, by
    its own account: a command, a cycle of expiry, a write of its file.
    """
    store, server = filled
    store.config_set("slowlog-log-slower-than", 1_000)
    store.config_set("latency-monitor-threshold", 1)
    store.slowlog_reset()
    store.latency_reset()
    with pings(str(server.socket), server.pid or 0) as waits:
        work(store)
    busy = {"command": max((entry["duration"] / 1_000 for entry in store.slowlog_get(128)), default=0.0)}
    busy |= {
        name: float(most) for name, _, _, most, *_ in store.latency_latest() if name not in ("command", "fast-command")
    }
    print(
        f"{what} at {store.dbsize():,} keys: longest wait {waits.longest:.2f} ms, in 95 of 100 seconds below "
        f"{waits.usual:.2f} ms; the server was busy with one thing at most {busy} ms (0: below 1); {len(waits.seconds)} s"
    )
    return waits.usual, max(busy.values())


def nobody_waits(measured: tuple[float, float], machine: float) -> None:
    """The server is never busy with one thing for LIMIT; and a client waits no longer than that, or than half as long again
    as the machine lets it wait without us.
    """
    wait, busy = measured
    assert busy < LIMIT
    assert wait < max(LIMIT, 1.5 * machine)


def finish(store: Redis) -> None:
    while jobs.work_once(store):
        pass


def bulk(job: Callable[[], str]) -> Callable[[Redis], None]:
    def work(store: Redis) -> None:
        made = job()
        finish(store)
        jobs.start(made, by="ADM001")
        finish(store)
        assert jobs.get(store, made).done > 0

    return work


def test_the_documents_keys_makes_everybody_wait(filled: tuple[Redis, EmbeddedServer]) -> None:
    _, busy = waited(filled, lambda store: store.keys("quote:*"), "KEYS")
    assert busy > LIMIT


def test_nobody_waits_for_the_census_with_its_linter(filled: tuple[Redis, EmbeddedServer], machine: float) -> None:
    nobody_waits(waited(filled, lambda store: census.take(store), "Census"), machine)
    latest, _ = census.read(filled[0])
    assert latest and latest.keys >= KEYS and latest.findings["ghost"].total == 2_000


def test_nobody_waits_for_a_fix_of_all(filled: tuple[Redis, EmbeddedServer], machine: float) -> None:
    store, number = filled[0], iter(range(10_000))

    def ghosts() -> str:
        store.mset({f"quote:auto:G{next(number)}:risk_level": "HIGH" for _ in range(500)})
        return key_batch.gather_fix("ghost", by="ADM001")

    nobody_waits(waited(filled, bulk(ghosts), "Fix of all ghosts"), machine)


def test_nobody_waits_for_a_clean_up(
    filled: tuple[Redis, EmbeddedServer], machine: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST", 20_000)  # deleted at once: what is gone can make nobody wait
    nobody_waits(waited(filled, bulk(lambda: key_batch.gather_cleanup(by="ADM001")), "Clean-up of 20,000"), machine)
