"""Compliance reviews: opened, kept in step with other tools, escalated, decided once, and none lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Invalid, NotFound
from dashboard.repository import areas, audit, holds, reviews
from dashboard.repository.index import NEVER
from dashboard.repository.reindex import reconcile
from tests import book

NAME = "compliance:review:policy:auto:100001"


@pytest.fixture
def policy(store: Redis) -> str:
    return f"auto:{book.policy()}"


def begin(policy: str, reason: str = "Odd premium") -> reviews.Review:
    from dashboard import redis

    reviews.begin(*policy.split(":"), reason, by="SUP001")
    return reviews.get(redis.client(), *policy.split(":"))


def staged(store: Redis, *stages: reviews.Stage, within: int | None = None) -> list[str]:
    return [review.id for review in reviews.listing(store, stages, within=within).rows]


def decide(review: reviews.Review, by: str = "SUP001", outcome: reviews.Outcome = "cleared") -> str:
    return reviews.decide(review.product, review.number, outcome, "All well", seen=review.seen, by=by)


def plain(store: Redis, life: int = 2_592_000_000) -> None:
    """The document's own command (line 290), and what the follower does of it."""
    store.set(NAME, "Pending regulatory review", px=life)
    areas.refresh(store, "reviews", ["auto:100001"])


def lapse(store: Redis, name: str = NAME) -> None:
    store.delete(name)
    areas.refresh(store, "reviews", [name.partition("policy:")[2]])


def test_another_tools_review_is_listed_and_decided_like_ours(store: Redis) -> None:
    plain(store)
    review = reviews.get(store, "auto", "100001")
    assert (review.stage, review.reason, review.by) == ("pending", "Pending regulatory review", "")
    assert review.opened is not None, "since it was first seen"
    assert staged(store, "pending") == ["auto:100001"]
    decide(review)
    assert not store.exists(NAME)
    assert staged(store, "cleared") == ["auto:100001"]


def test_the_reviews_text_can_be_split_again_by_other_tools(store: Redis, policy: str) -> None:
    review = begin(policy)
    assert (review.reason, review.by) == ("Odd premium", "SUP001")
    assert (store.get(review.key) or "").startswith("Pending regulatory review | ")


@pytest.mark.parametrize("reason", ["", " ", "a|b", "x" * 501, "a\nb"])
def test_a_reason_has_to_stand_inside_a_text(store: Redis, policy: str, reason: str) -> None:
    with pytest.raises(Invalid):
        reviews.begin(*policy.split(":"), reason, by="SUP001")


def test_there_is_one_review_of_a_policy_at_a_time(store: Redis, policy: str) -> None:
    begin(policy)
    with pytest.raises(Conflict, match="already"):
        begin(policy)
    with pytest.raises(NotFound):
        begin("auto:999")


def test_of_two_who_begin_one_at_the_very_moment_the_first_has_begun_it(
    store: Redis, policy: str, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    meanwhile(lambda: reviews.begin(*policy.split(":"), "Seen first", by="SUP002"))
    with pytest.raises(Conflict, match="already"):
        begin(policy)
    assert reviews.get(store, *policy.split(":")).by == "SUP002"
    texts = [record.text for record in audit.history(store, audit.POLICY, *policy.split(":"))]
    assert sum(text.startswith("Review opened") for text in texts) == 1


def test_one_that_another_tool_wrote_anew_since_it_was_looked_at_is_not_decided(store: Redis) -> None:
    plain(store)
    looked_at = reviews.get(store, "auto", "100001")
    store.set(NAME, "Pending: another matter", ex=2_592_000)
    with pytest.raises(Conflict, match="another than it was"):
        decide(looked_at)
    assert store.get(NAME) == "Pending: another matter"


def test_a_week_before_its_end_it_is_escalated_and_a_day_before_pressing(store: Redis) -> None:
    for number, days in ((1, 20), (2, 6), (3, 0.5)):
        store.set(keys.compliance_review("auto", str(number)), "Pending", px=int(days * clock.DAY))
    areas.refresh(store, "reviews", ["auto:1", "auto:2", "auto:3"])
    assert staged(store, "pending", within=reviews.URGENT) == ["auto:3", "auto:2"]
    assert [reviews.get(store, "auto", str(number)).urgency for number in (1, 2, 3)] == ["", "urgent", "critical"]
    assert reviews.counts(store) == reviews.Counts(pending=3, urgent=2, critical=1, lapsed=0, decided=0)


class TestNoneIsLost:
    def test_one_that_the_store_ended_is_listed_as_lapsed_and_can_still_be_decided(self, store: Redis) -> None:
        plain(store, life=30)
        threading.Event().wait(0.06)
        areas.refresh(store, "reviews", ["auto:100001"])
        review = reviews.get(store, "auto", "100001")
        assert (review.stage, review.removed, review.text) == ("lapsed", False, "Pending regulatory review")
        assert staged(store, "lapsed") == ["auto:100001"] and staged(store, "pending") == []
        assert store.pttl(keys.review_snapshot("auto", "100001")) > 360 * clock.DAY
        decide(review)
        (text,) = (record.text for record in audit.history(store, audit.POLICY, "auto", "100001"))
        assert text.startswith("Review decided after it had lapsed by SUP001: cleared")

    def test_one_that_another_tool_took_away_is_told_from_one_that_lapsed(self, store: Redis) -> None:
        plain(store)
        lapse(store)
        assert reviews.get(store, "auto", "100001").removed

    def test_it_does_not_come_due_again_and_again(self, store: Redis) -> None:
        plain(store)
        lapse(store)
        score = store.zscore(reviews.INDEX.key("all", "deadline"), "auto:100001")
        assert score is not None and clock.now_ms() * 1_000 < score < NEVER

    def test_one_that_is_begun_anew_is_pending_again(self, store: Redis) -> None:
        plain(store)
        lapse(store)
        plain(store)
        assert staged(store, "pending") == ["auto:100001"] and staged(store, "lapsed") == []

    def test_a_reindex_finds_those_that_are_left_alone(self, store: Redis) -> None:
        plain(store)
        lapse(store)
        store.delete(*store.keys("dash:index*"))
        reconcile(store, thorough=True)
        assert staged(store, "lapsed") == ["auto:100001"]

    @pytest.mark.parametrize("write", [
        lambda store: store.rpush(NAME, "x"), lambda store: store.set(NAME, b"\xff|Reason:\x00|Opened:x|By:*"),
        lambda store: store.set(NAME, ""), lambda store: store.set("dash:review:auto:100001", "x"),
        lambda store: store.hset("dash:review:auto:100001", mapping={"ended": "x", "deadline": "-1", "how": "odd"}),
    ])  # fmt: skip
    def test_whatever_another_tool_put_there_it_is_listed(self, store: Redis, write: Callable[[Redis], object]) -> None:
        write(store)
        for _ in range(2):
            areas.refresh(store, "reviews", ["auto:100001"])
        if store.exists(NAME):
            assert staged(store, "pending") == ["auto:100001"]
            assert store.type("dash:review:auto:100001") == "hash"
        reviews.listing(store, reviews.STAGES)
        plain(store)
        assert staged(store, "pending") == ["auto:100001"], "whatever stood there before"


def test_a_review_under_hold_is_not_decided(store: Redis, policy: str) -> None:
    review = begin(policy)
    holds.place("review", policy, "Case 12", by="SUP001")
    held = reviews.get(store, *policy.split(":"))
    assert held.deadline is None
    with pytest.raises(Conflict, match="legal hold"):
        decide(held)
    holds.release(holds.hold_id("review", policy), ending=0, by="SUP001")
    assert reviews.get(store, *policy.split(":")).deadline == review.deadline
    decide(review)


# -- two at the same moment


def meet(*contenders: Callable[[], object]) -> list[object]:
    barrier = threading.Barrier(len(contenders))

    def run(contender: Callable[[], object]) -> object:
        barrier.wait(10)
        try:
            return contender()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(contenders)) as pool:
        return list(pool.map(run, contenders))


def test_two_who_decide_at_once_make_one_decision(store: Redis, policy: str) -> None:
    for _ in range(30):
        review = begin(policy)
        made = meet(lambda: decide(review, "SUP001"), lambda: decide(review, "SUP002", "action"))  # noqa: B023
        assert sum(isinstance(each, Conflict) for each in made) == 1, made
    texts = [record.text for record in audit.history(store, audit.POLICY, *policy.split(":"))]
    assert sum(text.startswith("Review decided") for text in texts) == 30


def test_a_decision_is_not_taken_back_by_who_brings_it_in_step_at_that_moment(store: Redis, policy: str) -> None:
    for _ in range(60):
        review = begin(policy)
        store.hdel(keys.review_snapshot(*policy.split(":")), "text")  # so that there is something to bring in step
        meet(lambda: decide(review), lambda: areas.refresh(store, "reviews", [policy]))  # noqa: B023
        assert reviews.get(store, *policy.split(":")).stage == "cleared"


def test_control_looking_first_and_writing_then_decides_twice(store: Redis) -> None:
    store.set("naive", "pending")
    decided = []
    looked = threading.Barrier(2)

    def naive(by: str) -> None:
        if store.get("naive") == "pending":
            looked.wait(10)
            store.delete("naive")
            decided.append(by)

    meet(lambda: naive("SUP001"), lambda: naive("SUP002"))
    assert len(decided) == 2
