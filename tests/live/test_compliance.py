"""What the follower does for compliance: other tools' reviews and payments, what is held, and nothing lost."""

from __future__ import annotations

from redis import Redis
from redis.client import PubSub

from dashboard import clock, keys
from dashboard.live import follower as following
from dashboard.live.follower import Follower
from dashboard.repository import audit, chain, claims, holds, payments, reviews
from tests.live.test_follower import follower, hears, told, until  # noqa: F401 (fixtures)

NAME = "compliance:review:policy:auto:100001"


def staged(store: Redis, stage: reviews.Stage) -> list[str]:
    return [review.id for review in reviews.listing(store, [stage]).rows]


def test_another_tools_review_is_told_of_listed_and_lapses_into_a_list(
    store: Redis,
    follower: Follower,  # noqa: F811
    told: PubSub,  # noqa: F811
) -> None:
    store.set(NAME, "Pending regulatory review", px=1_500)
    assert hears(told, "reviews", "auto:100001")
    assert staged(store, "pending") == ["auto:100001"]
    until(lambda: staged(store, "lapsed") == ["auto:100001"])
    assert not reviews.get(store, "auto", "100001").removed


def test_what_another_tool_takes_away_is_listed_too(store: Redis, follower: Follower) -> None:  # noqa: F811
    store.set(NAME, "Pending regulatory review", ex=2_592_000)
    until(lambda: staged(store, "pending"))
    store.delete(NAME)
    until(lambda: staged(store, "lapsed"))
    assert reviews.get(store, "auto", "100001").removed


def test_another_tools_payment_is_listed_and_found(store: Redis, follower: Follower) -> None:  # noqa: F811
    name = keys.payment_audit("TXN001")
    store.set(name, "Customer: CUST001 | Amount: 1200 | Date: 2024-08-18", ex=220_752_000)
    until(lambda: payments.listing(store, payments.Filter()).total == 1)
    until(lambda: audit.search(store, audit.Search(kind="payment")).records)
    until(lambda: chain.head(store).links == 1)


def test_what_a_held_claim_gets_later_is_held_too(store: Redis, follower: Follower) -> None:  # noqa: F811
    number = claims.report(summary="Fire", by="AG001")
    holds.place("claim", number, "Case 12", by="SUP001")
    claims.assign(number, "ADJ001", by="AG001")
    follower._kept = 0.0  # half a minute has passed
    until(lambda: store.pttl(keys.investigation(number)) == -1)
    assert following.KEEP * 1_000 < 7 * clock.DAY, "long before anything of a claim ends"
