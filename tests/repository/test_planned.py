"""What is agreed on today and holds from a later day: nothing changes before, once it is done then, and what has become
impossible is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.repository import agents, audit, planned, policies
from dashboard.repository import policy_service as service
from dashboard.repository.policies import Policy
from tests import book
from tests.contents import contents

Later = Callable[[], None]


@pytest.fixture(autouse=True)
def branches(store: Redis) -> None:
    agents.save(store, {"AG001": "dallas"})


@pytest.fixture
def number(store: Redis) -> str:
    return book.policy()


def policy(store: Redis, number: str) -> Policy:
    return policies.get(store, "auto", number)


def cancel(store: Redis, number: str, days: int = 9, **told: str) -> str:
    on, seen = clock.today() + timedelta(days=days), policy(store, number).seen
    return service.cancel("auto", number, effective=on, reason="sold", seen=seen, by="AG001", **told)


def endorse(store: Redis, number: str, days: int = 9, **facts: str) -> str:
    on, seen = clock.today() + timedelta(days=days), policy(store, number).seen
    return service.endorse("auto", number, facts, effective=on, reason="new car", seen=seen, by="AG001")


def on_its_day(store: Redis, days: int = 9) -> int:
    with time_machine.travel(clock.now() + timedelta(days=days), tick=True):
        return service.carry_out(store)


def test_a_cancellation_of_a_day_to_come_changes_nothing_of_the_customers_until_then(store: Redis, number: str) -> None:
    before = contents(store, "[^da]*")
    words = cancel(store, number)
    assert words.startswith("Cancellation planned for ")
    assert contents(store, "[^da]*") == before
    plan = planned.get(store, "auto", number)
    assert plan and (plan.what, plan.reason, plan.by, plan.refused) == ("cancellation", "sold", "AG001", "")
    assert service.carry_out(store) == on_its_day(store, days=8) == 0, "its day has not come"
    assert policy(store, number).status == "ACTIVE"


def test_it_is_done_on_its_day_as_if_its_author_did_it_then(store: Redis, number: str) -> None:
    cancel(store, number)
    assert on_its_day(store) == 1
    assert policy(store, number).status == "CANCELLED"
    assert planned.get(store, "auto", number) is None
    assert store.exists(keys.plans()) == 0
    texts = [record.text for record in audit.history(store, audit.POLICY, "auto", number)]
    assert any(text.startswith("Cancelled as of") and "by AG001" in text for text in texts)
    assert on_its_day(store) == 0, "once"


def test_an_endorsement_brings_its_facts_on_its_day(store: Redis, number: str) -> None:
    endorse(store, number, premium="1350", deductible="250")
    assert policy(store, number).premium == 1200
    on_its_day(store)
    found = policy(store, number)
    assert (found.premium, found.deductible) == (1350, 250)


def test_what_was_missed_is_done_later(store: Redis, number: str) -> None:
    cancel(store, number)
    on_its_day(store, days=12)
    assert policy(store, number).status == "CANCELLED"


def test_one_is_planned_at_a_time(store: Redis, number: str) -> None:
    cancel(store, number)
    with pytest.raises(Conflict, match="a cancellation planned"):
        endorse(store, number, premium="1350")


def test_it_is_withdrawn_on_record(store: Redis, number: str) -> None:
    cancel(store, number)
    assert "was withdrawn" in planned.withdraw("auto", number, by="SUP001")
    assert on_its_day(store) == 0
    assert policy(store, number).status == "ACTIVE"
    assert any("withdrawn by SUP001" in record.text for record in audit.history(store, audit.POLICY, "auto", number))
    with pytest.raises(NotFound):
        planned.withdraw("auto", number, by="SUP001")


def test_what_has_become_impossible_is_kept_with_the_reason(store: Redis, number: str) -> None:
    endorse(store, number, premium="1350")
    store.set(keys.policy_field("auto", number, "status"), "LAPSED")
    on_its_day(store)
    plan = planned.get(store, "auto", number)
    assert plan and "is lapsed" in plan.refused
    assert on_its_day(store) == 0, "it is not tried for ever"
    assert [each.refused for each in planned.upcoming(store)] == [plan.refused]
    assert any("could not be done" in record.text for record in audit.history(store, audit.POLICY, "auto", number))


def test_a_cancellation_done_today_ends_what_was_planned(store: Redis, number: str) -> None:
    endorse(store, number, premium="1350")
    cancel(store, number, days=0)
    assert planned.get(store, "auto", number) is None


@pytest.mark.parametrize("days", [400, 20_000])
def test_it_is_within_the_term(store: Redis, number: str, days: int) -> None:
    with pytest.raises(Invalid) as refused:
        cancel(store, number, days=days)
    assert "effective" in refused.value.fields


def test_without_an_end_of_the_term_nothing_is_planned(store: Redis, number: str) -> None:
    store.delete(keys.policy_field("auto", number, "expiration_date"))
    with pytest.raises(Invalid, match="not known"):
        cancel(store, number)


def test_the_same_form_twice_plans_once(store: Redis, number: str) -> None:
    assert cancel(store, number, token="f" * 40) == cancel(store, number, token="f" * 40)
    assert len(audit.history(store, audit.POLICY, "auto", number)) == 2, "its making, and the plan"


class TestAtTheVeryMoment:
    def test_of_two_plans_the_first_stands(
        self, store: Redis, number: str, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        meanwhile(lambda: endorse(store, number, premium="1350"))
        with pytest.raises(Conflict, match="an endorsement planned"):
            cancel(store, number)
        plan = planned.get(store, "auto", number)
        assert plan and plan.what == "endorsement"

    def test_of_two_who_withdraw_it_one_does(
        self, store: Redis, number: str, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        cancel(store, number)
        meanwhile(lambda: planned.withdraw("auto", number, by="SUP001"))
        with pytest.raises(NotFound):
            planned.withdraw("auto", number, by="AG001")
        texts = [record.text for record in audit.history(store, audit.POLICY, "auto", number)]
        assert sum("was withdrawn" in text for text in texts) == 1

    def test_what_was_withdrawn_is_not_kept_as_impossible(
        self, store: Redis, number: str, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        cancel(store, number)
        plan = planned.get(store, "auto", number)
        assert plan
        meanwhile(lambda: planned.withdraw("auto", number, by="AG001"))
        for _ in range(2):  # withdrawn while that is kept, and before
            planned.refuse(plan, "it is lapsed")
            assert planned.get(store, "auto", number) is None

    def test_nor_is_another_plan_than_the_one_that_was_tried(self, store: Redis, number: str) -> None:
        cancel(store, number)
        tried = planned.get(store, "auto", number)
        assert tried
        planned.withdraw("auto", number, by="AG001")
        endorse(store, number, premium="1350")
        planned.refuse(tried, "it is lapsed")
        assert [(plan.what, plan.refused) for plan in planned.upcoming(store)] == [("endorsement", "")]


@pytest.mark.parametrize("written", ["x", "[]", '{"what": "dance"}', "[" * 100_000])
def test_a_plan_that_cannot_be_read_is_none(store: Redis, number: str, written: str) -> None:
    cancel(store, number)
    store.set(keys.plan("auto", number), written)
    assert planned.get(store, "auto", number) is None
    assert on_its_day(store) == 0
    assert store.exists(keys.plans()) == 0


def test_two_that_carry_out_at_once_do_it_once(store: Redis, number: str) -> None:
    for _ in range(10):
        other = book.policy()
        cancel(store, other)
        with time_machine.travel(clock.now() + timedelta(days=9), tick=True):
            start = threading.Barrier(2)

            def both(start: threading.Barrier = start) -> None:
                start.wait()
                service.carry_out(store)

            threads = [threading.Thread(target=both) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        texts = [record.text for record in audit.history(store, audit.POLICY, "auto", other)]
        assert sum(text.startswith("Cancelled") for text in texts) == 1
        assert planned.get(store, "auto", other) is None
