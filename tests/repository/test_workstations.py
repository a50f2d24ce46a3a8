"""What a running workstation session may, and the calls it counts: never longer than the session, never more than the account."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid
from dashboard.repository import audit, sessions
from dashboard.repository.sessions import Right
from tests.repository.test_sessions import AGENT, ANCHOR, MEMBER, workstation_keys_left

ACCOUNT: dict[Right, list[str]] = {
    "permissions": [*sessions.AGENT_PERMISSIONS],
    "branch_access": ["dallas", "fort_worth"],
    "product_access": ["auto", "home", "life"],
}


@pytest.fixture
def deadline(store: Redis) -> int:
    return sessions.open_workstation(AGENT, "nonce")


def seen(store: Redis) -> str:
    return sessions.fingerprint(sessions.rights_held(store, "AG001"))


def restrict(store: Redis, token: str | None = None, stamp: str | None = None, **chosen: list[str]) -> str:
    wanted = {**ACCOUNT, **chosen}
    stamp = seen(store) if stamp is None else stamp
    return sessions.restrict("AG001", wanted, account=ACCOUNT, seen=stamp, by="ADM001", token=token)  # type: ignore[arg-type]


class TestRestricting:
    def test_the_documents_keys_say_it_and_end_when_they_did(self, store: Redis, deadline: int) -> None:
        restrict(store, permissions=["view_customer_data", "create_quotes"], branch_access=["dallas"])
        assert store.get("session:agent:AG001:permissions") == "create_quotes,view_customer_data"
        assert store.get("session:agent:AG001:branch_access") == "dallas"
        assert store.get("session:agent:AG001:product_access") == "auto,home,life"
        assert {store.pexpiretime(name) for name in keys.workstation_keys("AG001")} == {deadline}

    def test_the_next_check_finds_it(self, store: Redis, deadline: int) -> None:
        restrict(store, permissions=[], product_access=["auto"])
        found = sessions.check(store, "AG001", "nonce")
        assert found.deadline == deadline
        assert (found.rights.permissions, found.rights.products) == (frozenset(), {"auto"})
        assert found.rights.narrowed == {"permissions", "product_access"}

    def test_it_is_on_record_with_before_and_after(self, store: Redis, deadline: int) -> None:
        restrict(store, product_access=["auto"])
        (record,) = audit.history(store, audit.SESSION, "AG001")
        assert record.text == "Session of AG001 by ADM001. Products: auto, home, life to auto"

    def test_what_was_taken_can_be_given_back_and_is_no_restriction_then(self, store: Redis, deadline: int) -> None:
        restrict(store, branch_access=["dallas"])
        restrict(store)
        assert "narrowed" not in store.get(ANCHOR)
        assert sessions.check(store, "AG001", "nonce").rights.narrowed == frozenset()

    @pytest.mark.parametrize(
        "beyond",
        [{"permissions": ["manage_sessions"]}, {"branch_access": ["houston"]}, {"product_access": ["boat", "a,b"]}],
    )
    def test_no_more_than_the_account_allows(self, store: Redis, deadline: int, beyond: dict[str, list[str]]) -> None:
        before = {name: store.get(name) for name in keys.workstation_keys("AG001")}
        with pytest.raises(Invalid):
            restrict(store, **beyond)
        assert {name: store.get(name) for name in keys.workstation_keys("AG001")} == before

    def test_a_key_that_is_missing_gets_the_sessions_end(self, store: Redis, deadline: int) -> None:
        store.delete("session:agent:AG001:branch_access")
        assert sessions.check(store, "AG001", "nonce").rights.branches is None
        restrict(store, branch_access=["dallas"])
        assert store.pexpiretime("session:agent:AG001:branch_access") == deadline

    def test_a_colleague_who_was_faster_is_told(self, store: Redis, deadline: int) -> None:
        before = seen(store)
        restrict(store, product_access=["auto"])
        with pytest.raises(Conflict):
            restrict(store, stamp=before, product_access=["home"])
        assert store.get("session:agent:AG001:product_access") == "auto"

    def test_the_same_form_twice_is_done_once(self, store: Redis, deadline: int) -> None:
        before = seen(store)
        for _ in range(2):
            restrict(store, token="b" * 40, stamp=before, product_access=["auto"])
        assert len(audit.history(store, audit.SESSION, "AG001")) == 1

    def test_of_a_session_that_is_over_nothing_is_written(self, store: Redis, deadline: int) -> None:
        before = seen(store)
        sessions.revoke([MEMBER], by="ADM001")
        with pytest.raises(Expired):
            restrict(store, stamp=before, product_access=["auto"])
        assert workstation_keys_left(store) == []

    def test_another_type_is_told_and_left(self, store: Redis, deadline: int) -> None:
        store.delete("session:agent:AG001:permissions")
        store.rpush("session:agent:AG001:permissions", "x")
        assert sessions.check(store, "AG001", "nonce").lives
        with pytest.raises(Conflict):
            restrict(store, product_access=["auto"])


class TestCalls:
    def test_a_call_is_counted_until_the_session_ends_and_on_the_customers_record(
        self, store: Redis, deadline: int
    ) -> None:
        assert [sessions.log_call("AG001", "CUST001") for _ in range(3)] == [1, 2, 3]
        name = "session:agent:AG001:customer_calls_today"
        assert (store.get(name), store.pexpiretime(name)) == ("3", deadline)
        told = [record.text for record in audit.history(store, audit.CUSTOMER, "CUST001")]
        assert told == ["Call with CUST001 logged by AG001"] * 3
        assert sessions.load(store, [MEMBER])[MEMBER].figures["customer_calls_today"] == 3

    def test_without_a_session_there_is_no_count(self, store: Redis) -> None:
        with pytest.raises(Expired):
            sessions.log_call("AG001", "CUST001")
        assert store.keys("session:*") == []

    def test_what_is_no_number_begins_anew(self, store: Redis, deadline: int) -> None:
        store.set("session:agent:AG001:customer_calls_today", "many", keepttl=True)
        assert sessions.log_call("AG001", "CUST001") == 1

    def test_the_same_form_twice_is_one_call(self, store: Redis, deadline: int) -> None:
        assert [sessions.log_call("AG001", "CUST001", token="c" * 40) for _ in range(2)] == [1, 1]


def at_once(acts: list[Callable[[], object]]) -> None:
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        start.wait()
        act()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestAtTheVeryMoment:
    def test_none_of_many_calls_is_lost(self, store: Redis, deadline: int) -> None:
        at_once([lambda: [sessions.log_call("AG001", "CUST001") for _ in range(5)] for _ in range(8)])
        assert store.get("session:agent:AG001:customer_calls_today") == "40"

    def test_control_reading_then_writing_loses_calls(self, store: Redis, deadline: int) -> None:
        name = "session:agent:AG001:customer_calls_today"
        met = threading.Barrier(2)

        def naive() -> None:
            counted = int(store.get(name) or 0)
            met.wait()  # both have read
            store.set(name, counted + 1, keepttl=True)

        at_once([naive, naive])
        assert store.get(name) == "1"

    def test_one_that_is_ended_while_rights_are_written_that_it_had_none_of_stays_ended(
        self, store: Redis, deadline: int, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        store.delete("session:agent:AG001:branch_access")
        meanwhile(lambda: sessions.revoke([MEMBER], by="ADM001"))
        with pytest.raises(Expired):
            restrict(store, branch_access=["dallas"])
        assert workstation_keys_left(store) == []

    def test_what_another_tool_writes_while_rights_are_written_is_not_overwritten(
        self, store: Redis, deadline: int, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        name = "session:agent:AG001:permissions"
        meanwhile(lambda: store.set(name, "create_quotes", keepttl=True))
        with pytest.raises(Conflict):
            restrict(store, permissions=["view_customer_data"])
        assert store.get(name) == "create_quotes"

    def test_one_that_is_ended_while_its_first_call_is_counted_stays_ended(
        self, store: Redis, deadline: int, meanwhile: Callable[[Callable[[], object]], None]
    ) -> None:
        store.delete("session:agent:AG001:customer_calls_today")
        meanwhile(lambda: sessions.revoke([MEMBER], by="ADM001"))
        with pytest.raises(Expired):
            sessions.log_call("AG001", "CUST001")
        assert workstation_keys_left(store) == []

    def test_a_session_that_is_ended_meanwhile_is_never_brought_back(self, store: Redis) -> None:
        revived = 0
        for number in range(60):
            sessions.open_workstation(AGENT, f"nonce{number}")
            before = seen(store)

            def narrowing(before: str = before) -> None:
                for act in (
                    lambda: restrict(store, stamp=before, product_access=["auto"]),
                    lambda: sessions.log_call("AG001", "CUST001"),
                ):
                    try:
                        act()
                    except Expired:
                        pass

            at_once([narrowing, lambda: sessions.revoke([MEMBER], by="ADM001")])
            revived += bool(workstation_keys_left(store))
        assert revived == 0


class TestBroughtBack:
    """Trap 20: another tool read the session, it was ended, and the tool writes it anew."""

    @pytest.mark.parametrize(
        "end",
        [
            lambda: sessions.revoke([MEMBER], by="ADM001"),
            lambda: sessions.close("AG001", "nonce"),
            lambda: sessions.open_workstation(AGENT, "another"),
        ],
        ids=["revoked", "signed out", "signed in elsewhere"],
    )
    def test_however_it_ended_it_is_none_and_is_taken_away_again(
        self, store: Redis, deadline: int, end: Callable[[], object]
    ) -> None:
        text = store.get(ANCHOR)
        end()
        store.set(ANCHOR, text, ex=28_800)
        assert not sessions.check(store, "AG001", "nonce").lives
        assert sessions.of_person(store, "AG001") == []
        sessions.refresh(store, [MEMBER])
        assert workstation_keys_left(store) == []

    def test_it_does_not_keep_its_owner_from_signing_in(self, store: Redis, deadline: int) -> None:
        text = store.get(ANCHOR)
        sessions.revoke([MEMBER], by="ADM001")
        store.set(ANCHOR, text, ex=28_800)
        sessions.open_workstation(AGENT, "another")
        assert sessions.check(store, "AG001", "another").lives
        sessions.refresh(store, [MEMBER])
        assert [each.id for each in sessions.of_person(store, "AG001")] == [MEMBER]

    def test_a_session_of_another_tools_own_is_left_alone(self, store: Redis, deadline: int) -> None:
        sessions.revoke([MEMBER], by="ADM001")
        store.set(ANCHOR, "authenticated|login_time:2024-08-18T08:00:00Z|branch:dallas", ex=600)
        sessions.refresh(store, [MEMBER])
        assert [each.id for each in sessions.of_person(store, "AG001")] == [MEMBER]

    @pytest.mark.parametrize("broken", ["", "nonsense", "{}", "[1, null]"])
    def test_what_is_remembered_may_be_broken(self, store: Redis, deadline: int, broken: str) -> None:
        store.set(keys.refs_ended("AG001"), broken)
        assert sessions.check(store, "AG001", "nonce").lives
        sessions.revoke([MEMBER], by="ADM001")
        assert len(json.loads(store.get(keys.refs_ended("AG001")))) == 1
        assert 0 < store.pttl(keys.refs_ended("AG001")) <= 8 * clock.HOUR

    def test_amid_a_tool_that_reads_and_sets_it_never_lives_again(self, store: Redis) -> None:
        """The tool alone is the control: it does bring the key back."""
        lived = came_back = 0
        for number in range(30):
            sessions.open_workstation(AGENT, f"nonce{number}")

            def refreshing() -> None:
                for _ in range(20):
                    if text := store.get(ANCHOR):
                        store.set(ANCHOR, text, ex=28_800)

            at_once([refreshing, refreshing, lambda: sessions.revoke([MEMBER], by="ADM001")])
            came_back += bool(store.exists(ANCHOR))
            lived += sessions.check(store, "AG001", f"nonce{number}").lives
        assert came_back > 0
        assert lived == 0
