"""Looking at the whole chain when asked: once, by who holds the lease, begun anew where it was left."""

from __future__ import annotations

import threading
import time

import pytest
from django.core.management import call_command
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict
from dashboard.live.follower import Follower
from dashboard.repository import audit, chain, verification
from dashboard.repository.store import change
from dashboard.repository.verification import Run


@pytest.fixture
def sealed(store: Redis) -> list[str]:
    for number in range(3):
        change(lambda draft, n=number: audit.append(draft, audit.POLICY, "auto", str(n), text="by AG001"))  # type: ignore[misc]
    while chain.seal(store):
        pass
    return store.keys("audit:policy:*")


def test_nobody_asked(store: Redis) -> None:
    assert verification.run_if_asked(store) is None
    assert store.keys("*") == []


def test_asked_once_looked_once_and_kept_for_a_year(store: Redis, sealed: list[str]) -> None:
    verification.ask(by="SUP001")
    with pytest.raises(Conflict, match="SUP001 asked"):
        verification.ask(by="ADM001")
    assert verification.run_if_asked(store)
    assert verification.run_if_asked(store) is None
    run, last = verification.standing(store)
    assert run is None and last is not None
    assert (last.by, last.links, last.standing, last.holds) == ("SUP001", 3, 3, True)
    assert 0 < store.pttl(keys.verification()) <= keys.YEAR * clock.SECOND


def test_the_first_broken_link_is_kept(store: Redis, sealed: list[str]) -> None:
    store.delete(*sealed[:2])
    verification.ask(by="SUP001")
    verification.run_if_asked(store)
    _, last = verification.standing(store)
    assert last is not None and not last.holds
    assert (last.breaks, last.what, last.key in sealed[:2]) == (2, "the record was removed", True)


def test_anchors_are_held_against_it_and_a_new_one_is_kept_only_if_it_holds(store: Redis, sealed: list[str]) -> None:
    kept: list[chain.Head] = []
    verification.ask(by="SUP001")
    verification.run_if_asked(store, anchors=lambda: {9: "x"}, anchor=kept.append)
    _, last = verification.standing(store)
    assert last is not None and "had 9" in last.what and kept == []
    verification.ask(by="SUP001")
    verification.run_if_asked(store, anchor=kept.append)
    assert [head.links for head in kept] == [3]


def test_who_lost_the_lease_leaves_it_to_the_next(store: Redis, sealed: list[str]) -> None:
    verification.ask(by="SUP001")
    assert verification.run_if_asked(store, holding=lambda: False) is None
    run, last = verification.standing(store)
    assert run is not None and last is None
    assert verification.run_if_asked(store)


def test_one_that_fell_silent_is_begun_anew_and_one_under_way_is_left_alone(store: Redis, sealed: list[str]) -> None:
    for beat, due in ((clock.now_ms(), False), (clock.now_ms() - verification.SILENT - 1, True)):
        assert Run(by="SUP001", asked=1, beat=beat).is_due == due
        change(lambda draft, b=beat: verification._write(draft, "run", Run("SUP001", 1, b, 1, 9)))  # type: ignore[misc]
        assert bool(verification.run_if_asked(store)) == due


@pytest.mark.django_db
def test_the_command_keeps_what_it_found_for_the_page(store: Redis, sealed: list[str]) -> None:
    call_command("verify_audit")
    _, last = verification.standing(store)
    assert last is not None and (last.by, last.links) == ("manage.py", 3)


def test_the_follower_does_it(store: Redis, sealed: list[str]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=Follower(store).run, args=(stop,))
    thread.start()
    try:
        verification.ask(by="SUP001")
        end = time.monotonic() + 20
        while verification.standing(store)[1] is None:
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.02)
    finally:
        stop.set()
        thread.join()
