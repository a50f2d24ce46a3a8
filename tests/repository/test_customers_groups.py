"""Segments and tiers: sizes, members, sums, and moves that leave nobody in two."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid, NotFound
from dashboard.repository import areas, audit, groups
from dashboard.repository.reindex import reconcile


def stand(store: Redis, customer: str, *segments: str) -> None:
    for name in segments:
        store.sadd(keys.segment(name), customer)


def stands(store: Redis, customer: str = "CUST001") -> list[str]:
    return [name for name in ("high_risk", "medium_risk", "low_risk") if store.sismember(keys.segment(name), customer)]


def move(to: str, seen: str, *, token: str | None = None) -> str:
    return groups.move("CUST001", "segment", to, seen=seen, by="AG001", token=token)


class TestMove:
    @pytest.mark.parametrize(
        "before, to, after",
        [
            (["high_risk"], "low_risk", ["low_risk"]), ([], "low_risk", ["low_risk"]), (["low_risk"], "", []),
            (["high_risk", "medium_risk"], "low_risk", ["low_risk"]),
            (["high_risk", "medium_risk"], "high_risk", ["high_risk"]),
            (["high_risk", "medium_risk"], "medium_risk", ["medium_risk"]), (["high_risk", "medium_risk"], "", []),
        ],
    )  # fmt: skip
    def test_trap_12_leaves_a_customer_in_one_at_most(
        self, store: Redis, before: list[str], to: str, after: list[str]
    ) -> None:
        stand(store, "CUST001", *before)
        stand(store, "CUST002", *before)
        move(to, ",".join(before))
        assert stands(store) == after
        assert stands(store, "CUST002") == before

    def test_is_on_record_with_before_and_after(self, store: Redis) -> None:
        stand(store, "CUST001", "high_risk")
        assert move("low_risk", "high_risk") == "Segment changed from high risk to low risk."
        assert audit.history(store, audit.CUSTOMER, "CUST001")[0].text.endswith("to low risk by AG001")

    def test_sent_twice_moves_once(self, store: Redis) -> None:
        stand(store, "CUST001", "high_risk")
        assert move("low_risk", "high_risk", token="m") == move("low_risk", "high_risk", token="m")
        assert len(audit.history(store, audit.CUSTOMER, "CUST001")) == 1

    def test_a_colleagues_move_in_between_is_told(self, store: Redis) -> None:
        stand(store, "CUST001", "medium_risk")
        with pytest.raises(Conflict, match="medium risk now"):
            move("low_risk", "high_risk")
        assert stands(store) == ["medium_risk"]

    def test_to_where_they_stand_is_nothing(self, store: Redis) -> None:
        stand(store, "CUST001", "low_risk")
        assert move("low_risk", "low_risk") == "Nothing was changed."

    @pytest.mark.parametrize(
        "kind, to", [("segment", "nowhere"), ("segment", "a b"), ("branch", "x"), ("tier", "low_risk")]
    )
    def test_to_what_is_no_group_is_refused(self, store: Redis, kind: str, to: str) -> None:
        with pytest.raises(Invalid):
            groups.move("CUST001", kind, to, seen="", by="AG001")
        assert not store.keys("segment:*") and not store.keys("tier:*")

    def test_a_group_that_another_tool_broke_is_named_and_nothing_is_written(self, store: Redis) -> None:
        store.set(keys.segment("low_risk"), "CUST001")
        with pytest.raises(Conflict, match="segment:low_risk holds a string"):
            move("high_risk", "")
        assert not store.exists(keys.segment("high_risk"))

    def test_two_at_the_same_moment_leave_them_in_one(self, store: Redis) -> None:
        for _ in range(40):
            store.delete(*(keys.segment(name) for name in groups.USUAL["segment"]))
            stand(store, "CUST001", "high_risk")
            results = _together(lambda: move("low_risk", "high_risk"), lambda: move("medium_risk", "high_risk"))
            assert len(stands(store)) == 1
            assert sorted(isinstance(each, Conflict) for each in results) == [False, True]

    def test_the_plain_way_leaves_them_in_two(self, store: Redis) -> None:
        def naive(to: str) -> None:
            for name in stands(store):
                store.srem(keys.segment(name), "CUST001")
            store.sadd(keys.segment(to), "CUST001")

        doubled = 0
        for _ in range(60):
            store.delete(*(keys.segment(name) for name in groups.USUAL["segment"]))
            stand(store, "CUST001", "high_risk")
            _together(lambda: naive("low_risk"), lambda: naive("medium_risk"))
            doubled += len(stands(store)) > 1
        assert doubled


def _together(*calls: object) -> list[object]:
    barrier = threading.Barrier(len(calls))

    def run(call: object) -> object:
        barrier.wait(10)
        try:
            return call()  # type: ignore[operator]
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


class TestUndo:
    def look(self, store: Redis) -> groups.Undo | None:
        return groups.undoable(store, "CUST001", groups.membership(store, "CUST001")).get("segment")

    def back(self, store: Redis, of: str | None = None, token: str | None = None) -> str:
        found = self.look(store)
        return groups.undo("CUST001", "segment", of or (found.id if found else ""), by="AG002", token=token)

    @pytest.mark.parametrize("before, to", [("high_risk", "low_risk"), ("", "low_risk"), ("high_risk", "")])
    def test_puts_them_back_where_they_stood_alone(self, store: Redis, before: str, to: str) -> None:
        stand(store, "CUST001", *filter(None, [before]))
        stand(store, "CUST002", "high_risk", "low_risk")
        move(to, before)
        said = self.back(store)
        assert said.startswith("Segment changed back from ")
        assert stands(store) == [each for each in [before] if each]
        assert stands(store, "CUST002") == ["high_risk", "low_risk"]
        texts = [record.text for record in audit.history(store, audit.CUSTOMER, "CUST001")]
        assert len(texts) == 2 and "by AG002: the move of AG001 was undone" in texts[0]

    def test_is_open_for_ten_minutes_once_and_never_for_the_undoing(self, store: Redis) -> None:
        move("low_risk", "")
        found = self.look(store)
        assert found and 595_000 < found.deadline - clock.now_ms() <= groups.UNDO_LIFE
        assert self.back(store, token="u") == self.back(store, found.id, token="u")
        assert self.look(store) is None
        with pytest.raises(Expired):
            self.back(store, found.id)

    def test_what_others_did_since_is_not_undone(self, store: Redis) -> None:
        move("low_risk", "")
        first = self.look(store)
        assert first
        store.smove(keys.segment("low_risk"), keys.segment("high_risk"), "CUST001")  # another tool
        assert self.look(store) is None
        with pytest.raises(Conflict, match="high risk now"):
            self.back(store, first.id)
        move("medium_risk", "high_risk")
        with pytest.raises(Conflict):
            self.back(store, first.id)
        assert stands(store) == ["medium_risk"]

    def test_a_contradiction_is_not_brought_back(self, store: Redis) -> None:
        move("medium_risk", "")
        stand(store, "CUST001", "high_risk")
        move("low_risk", "high_risk,medium_risk")
        assert self.look(store) is None

    def test_a_group_left_empty_is_there_again(self, store: Redis) -> None:
        store.sadd(keys.segment("flood"), "CUST001")
        areas.refresh(store, "groups", ["segment:flood"])
        move("low_risk", "flood")
        areas.refresh(store, "groups", ["segment:flood"])
        self.back(store)
        assert store.smembers(keys.segment("flood")) == {"CUST001"} and stands(store) == []

    @pytest.mark.parametrize(
        "broken", [None, "", "{}", "[]", "1", '{"id": 1}', '{"id": "x", "was": "a b", "now": "low_risk", "by": "y"}']
    )
    def test_what_another_tool_broke_is_none(self, store: Redis, broken: str | None) -> None:
        move("low_risk", "")
        name = keys.move_undo("segment", "CUST001")
        if broken is None:
            store.delete(name)
            store.rpush(name, "a list")
        else:
            store.set(name, broken, keepttl=True)
        assert self.look(store) is None
        with pytest.raises((Expired, Conflict)):
            self.back(store, "x")
        assert stands(store) == ["low_risk"]

    def test_an_undo_and_a_move_at_the_same_moment_leave_them_in_one(self, store: Redis) -> None:
        for _ in range(40):
            store.delete(*(keys.segment(name) for name in groups.USUAL["segment"]))
            stand(store, "CUST001", "high_risk")
            move("low_risk", "high_risk")
            found = self.look(store)
            assert found
            results = _together(lambda: self.back(store, found.id), lambda: move("medium_risk", "low_risk"))  # noqa: B023
            assert len(stands(store)) == 1
            assert sorted(isinstance(each, Conflict) for each in results) == [False, True]


class TestFigures:
    def test_sizes_and_sums_of_small_groups_are_those_of_this_moment(self, store: Redis) -> None:
        for number, premium in (("CUST001", "1200"), ("CUST002", "$800.50"), ("CUST003", "oops"), ("CUST004", None)):
            stand(store, number, "high_risk")
            if premium:
                store.set(keys.customer_field(number, "total_premium"), premium)
        high, *others = groups.overview(store, "segment", figures=True)
        assert (high.size, high.figures and high.figures.premium, high.figures and high.figures.counted) == (
            4, Decimal("2000.50"), 2,
        )  # fmt: skip
        assert [each.size for each in others] == [0, 0]

    def test_large_groups_are_added_up_behind(self, store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(groups, "AT_ONCE", 2)
        for number in range(5):
            stand(store, f"CUST{number}", "high_risk")
            store.set(keys.customer_field(f"CUST{number}", "total_premium"), "100")
        assert groups.overview(store, "segment", figures=True)[0].figures is None
        reconcile(store)
        figures = groups.overview(store, "segment", figures=True)[0].figures
        assert figures and (figures.premium, figures.counted) == (Decimal(500), 5)

    def test_groups_of_other_tools_are_shown_too(self, store: Redis) -> None:
        store.sadd(keys.tier("bronze"), "CUST001")
        areas.refresh(store, "groups", ["tier:bronze"])
        assert [each.name for each in groups.overview(store, "tier", figures=False)] == [
            "platinum", "gold", "silver", "bronze",
        ]  # fmt: skip
        assert groups.membership(store, "CUST001").tier == ("bronze",)

    def test_members_are_met_once_each_page_by_page(self, store: Redis) -> None:
        store.sadd(keys.segment("high_risk"), *(f"CUST{number:04}" for number in range(700)))
        group, cursor, seen = groups.get(store, "segment", "high_risk"), 0, set()
        for _ in range(100):
            found = groups.members(store, group, cursor=cursor, size=50)
            seen |= {row.id for row in found.rows}
            cursor = found.cursor
            if not cursor:
                break
        assert len(seen) == 700

    @pytest.mark.parametrize("kind, name", [("segment", "none"), ("nonsense", "x"), ("tier", "a b")])
    def test_what_is_no_group_is_not_found(self, store: Redis, kind: str, name: str) -> None:
        with pytest.raises(NotFound):
            groups.get(store, kind, name)
