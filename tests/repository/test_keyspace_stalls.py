"""Nobody waits while all keys are looked at, put right or deleted: how long a client waited for an answer meanwhile, and
the longest command by the server's own account, at a million keys, beside what the document's KEYS does to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from dashboard.redis import EmbeddedServer
from dashboard.repository import census, jobs, key_batch
from tests.pings import pings

KEYS = int(os.environ.get("STALL_KEYS", "1000000"))
LIMIT = 5.0
"""ms that nobody may wait longer than."""
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


def waited(filled: tuple[Redis, EmbeddedServer], work: Callable[[Redis], object], what: str) -> float:
    """ms: what the work does to a client, second for second, or the longest command where that is more. What the machine
    does to the client besides, in a few of the seconds, is printed alone.
    """
    store, server = filled
    store.config_set("slowlog-log-slower-than", 1_000)
    store.slowlog_reset()
    with pings(str(server.socket), server.pid or 0) as waits:
        work(store)
    command = max((entry["duration"] / 1_000 for entry in store.slowlog_get(128)), default=0.0)
    print(
        f"{what} at {store.dbsize():,} keys: longest wait {waits.longest:.2f} ms, in 95 of 100 seconds below "
        f"{waits.usual:.2f} ms; longest command {f'{command:.2f}' if command else 'below 1'} ms; {len(waits.seconds)} s"
    )
    return max(waits.usual, command)


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
    assert waited(filled, lambda store: store.keys("quote:*"), "KEYS") > LIMIT


def test_nobody_waits_for_the_census_with_its_linter(filled: tuple[Redis, EmbeddedServer]) -> None:
    assert waited(filled, lambda store: census.take(store), "Census") < LIMIT
    latest, _ = census.read(filled[0])
    assert latest and latest.keys >= KEYS and latest.findings["ghost"].total == 2_000


def test_nobody_waits_for_a_fix_of_all(filled: tuple[Redis, EmbeddedServer]) -> None:
    store, number = filled[0], iter(range(10_000))

    def ghosts() -> str:
        store.mset({f"quote:auto:G{next(number)}:risk_level": "HIGH" for _ in range(500)})
        return key_batch.gather_fix("ghost", by="ADM001")

    assert waited(filled, bulk(ghosts), "Fix of all ghosts") < LIMIT


def test_nobody_waits_for_a_clean_up(filled: tuple[Redis, EmbeddedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST", 20_000)  # deleted at once: what is gone can make nobody wait
    assert waited(filled, bulk(lambda: key_batch.gather_cleanup(by="ADM001")), "Clean-up of 20,000") < LIMIT
