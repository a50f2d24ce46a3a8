"""Nobody waits while all keys are looked at, put right or deleted: the longest that a client waited for an answer
meanwhile, at a million keys, beside what the document's KEYS does to it.
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
ROUNDS = 3
"""What the work does to a client it does each time; what else the machine does comes and goes."""

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


def longest(filled: tuple[Redis, EmbeddedServer], work: Callable[[Redis], object], what: str) -> float:
    """ms that a client waited at the longest, in the best of some rounds."""
    store, server = filled
    found = []
    for _ in range(ROUNDS):
        with pings(str(server.socket), server.pid or 0) as waits:
            work(store)
        found.append(waits.longest)
        if waits.longest < LIMIT:
            break
    print(f"{what} at {store.dbsize():,} keys: longest wait {', '.join(f'{each:.2f}' for each in found)} ms")
    return min(found)


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
    assert longest(filled, lambda store: store.keys("quote:*"), "KEYS") > LIMIT


def test_nobody_waits_for_the_census_with_its_linter(filled: tuple[Redis, EmbeddedServer]) -> None:
    assert longest(filled, lambda store: census.take(store), "Census") < LIMIT
    latest, _ = census.read(filled[0])
    assert latest and latest.keys >= KEYS and latest.findings["ghost"].total == 2_000


def test_nobody_waits_for_a_fix_of_all(filled: tuple[Redis, EmbeddedServer]) -> None:
    store, number = filled[0], iter(range(10_000))

    def ghosts() -> str:
        store.mset({f"quote:auto:G{next(number)}:risk_level": "HIGH" for _ in range(500)})
        return key_batch.gather_fix("ghost", by="ADM001")

    assert longest(filled, bulk(ghosts), "Fix of all ghosts") < LIMIT


def test_nobody_waits_for_a_clean_up(filled: tuple[Redis, EmbeddedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST", 20_000)  # deleted at once: what is gone can make nobody wait
    assert longest(filled, bulk(lambda: key_batch.gather_cleanup(by="ADM001")), "Clean-up of 20,000") < LIMIT
