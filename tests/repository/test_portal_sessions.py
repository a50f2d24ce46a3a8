"""Customers' sessions opened here: the document's keys, one deadline, prolonged by use, and over for good when ended."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Invalid
from dashboard.repository import portal_sessions, sessions
from dashboard.repository.sessions import Filter, Opened

PERSON = "CUST001"
ANCHOR = "session:customer:CUST001:portal"


def opened(person: str = PERSON, device: str = "Chrome 115.0|Windows 10", activity: str = "normal") -> Opened:
    return sessions.open_portal(
        person,
        device=device,
        address="192.168.1.100",
        permissions=["view_policies", "make_payments"],
        activity=activity,
    )


def on_the_phone(device_id: str = "device123") -> Opened:
    return sessions.open_device(
        "mobile", PERSON, device_id, device="iPhone 12|iOS 15.0", app_version="2.1.0", address="10.0.0.9"
    )


@pytest.fixture
def every_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each use writes, however soon after the one before."""
    monkeypatch.setattr(portal_sessions, "USE_EVERY", 0)


def age(store: Redis, session: Opened, ms: int) -> None:
    """As if the session had been used last so long ago, and were to end so much sooner."""
    kind, person, number = session.id.split(":")
    names = [keys.session_facts(kind, person, number), keys.portal_latest(person)]
    names += keys.portal_keys(person) if kind == "portal" else [keys.device_session(kind, person, number)]
    facts = json.loads(store.get(names[0]))
    facts["seen"] -= ms
    facts["uses"] = [at - ms for at in facts["uses"]]
    store.set(names[0], json.dumps(facts), keepttl=True)
    for name in names:
        end = store.pexpiretime(name)
        if end > 0:
            store.pexpireat(name, end - ms)


def deadlines(store: Redis, session: Opened) -> set[int]:
    """Of all keys of a portal session that the customer's keys tell of."""
    facts = keys.session_facts(*session.id.split(":"))
    names = [facts, keys.portal_latest(PERSON), *keys.portal_keys(PERSON)]
    return {store.pexpiretime(name) for name in names}


class TestRepeating:
    def test_opened_again_with_its_token_it_is_the_same_session_and_nothing_kept_tells_its_secret(
        self, store: Redis
    ) -> None:
        def portal() -> Opened:
            return sessions.open_portal(PERSON, device="Chrome 115.0", address="", token="p")

        def phone() -> Opened:
            return sessions.open_device("mobile", PERSON, "device123", device="iPhone 12", token="d")

        first = [portal(), phone()]
        kept = "".join(f"{name} {store.get(name)}" for name in store.scan_iter() if store.type(name) == "string")
        assert [portal(), phone()] == first
        assert sessions.totals(store, Filter())[""] == 2
        assert not any(session.secret in kept for session in first)
        assert all(sessions.end(session.id, session.secret) for session in first)
        assert [portal(), phone()] == first and sessions.totals(store, Filter())[""] == 0, "told, not begun anew"


class TestAsking:
    def test_who_holds_the_secret_is_told_of_the_session_and_nobody_else(self, store: Redis) -> None:
        session = opened()
        found = portal_sessions.get(store, session.id, session.secret)
        assert found and found.person == PERSON and found.deadline == session.deadline
        other = opened()
        assert portal_sessions.get(store, session.id, other.secret) is None
        assert portal_sessions.get(store, "nonsense", other.secret) is None
        sessions.end(session.id, session.secret)
        assert portal_sessions.get(store, session.id, session.secret) is None


class TestOpening:
    def test_the_customers_keys_tell_of_it_as_the_document_has_them(self, store: Redis) -> None:
        session = opened()
        text = store.get(ANCHOR)
        assert text.startswith("authenticated|login_time:2") and "|ip:192.168.1.100|" in text
        assert store.get("session:customer:CUST001:device") == "Chrome 115.0|Windows 10"
        assert store.get("session:customer:CUST001:permissions") == "view_policies,make_payments"
        assert store.get("session:customer:CUST001:activity_level") == "normal"
        assert deadlines(store, session) == {session.deadline}
        assert abs(session.deadline - clock.now_ms() - 30 * clock.MINUTE) < 2_000

    def test_the_secret_stands_nowhere(self, store: Redis) -> None:
        for session in (opened(), on_the_phone()):
            for name in store.keys("*"):
                if store.type(name) == "string":
                    assert session.secret not in store.get(name)

    def test_it_is_listed_once(self, store: Redis) -> None:
        session = opened()
        sessions.refresh(store, ["customer:CUST001:portal", session.id])
        (found,) = sessions.listing(store, Filter()).rows
        assert (found.id, found.kind, found.person, found.latest) == (session.id, "portal", PERSON, True)
        assert (found.device, found.address) == ("Chrome 115.0, Windows 10", "192.168.1.100")
        assert found.permissions == ("view_policies", "make_payments")

    def test_an_app_session_is_the_documents_one_key(self, store: Redis) -> None:
        session = on_the_phone()
        assert store.get("session:mobile:CUST001:device123").startswith("iPhone 12|iOS 15.0|app_version:2.1.0|ref:")
        assert store.pexpiretime("session:mobile:CUST001:device123") == session.deadline
        (found,) = sessions.listing(store, Filter()).rows
        assert (found.device, found.address) == ("iPhone 12, iOS 15.0, app 2.1.0", "10.0.0.9")
        assert found.signed_in and found.last_activity

    @pytest.mark.parametrize(
        "wrong",
        [
            {"person": "a:b"},
            {"person": "multi_policy"},
            {"address": "1|2"},
            {"device": "x|ref:0"},
            {"device": "x\r\n"},
            {"permissions": ["a,b"]},
            {"activity": "frantic"},
        ],
    )
    def test_what_may_not_stand_in_a_key_is_refused(self, store: Redis, wrong: dict[str, object]) -> None:
        given = {"person": PERSON, "device": "Chrome", "address": "10.0.0.1"} | wrong
        with pytest.raises(Invalid):
            sessions.open_portal(given.pop("person"), **given)  # type: ignore[arg-type]
        assert store.keys("*session*") == []

    def test_another_tools_session_is_replaced_and_on_record(self, store: Redis) -> None:
        store.set(ANCHOR, "authenticated|login_time:2024-08-18T10:30:00Z|ip:1.2.3.4", ex=600)
        sessions.refresh(store, ["customer:CUST001:portal"])
        session = opened()
        assert [row.id for row in sessions.listing(store, Filter()).rows] == [session.id]
        (over,) = sessions.ended(store, PERSON).rows
        assert (over.how, over.address) == ("replaced", "1.2.3.4")


class TestUsing:
    @pytest.mark.usefixtures("every_use")
    def test_all_keys_are_prolonged_together_and_say_what_they_said(self, store: Redis) -> None:
        session = opened()
        age(store, session, 5 * clock.MINUTE)
        deadline = sessions.refresh_session(session.id, session.secret)
        assert deadline and abs(deadline - clock.now_ms() - 30 * clock.MINUTE) < 2_000
        assert deadlines(store, session) == {deadline}
        text = store.get(ANCHOR)
        assert "|ip:192.168.1.100|" in text and "|last_activity:2" in text
        assert sessions.refresh_session(session.id, session.secret)
        assert store.get(ANCHOR).count("last_activity:") == 1
        assert next(row.deadline for row in sessions.listing(store, Filter()).rows) >= deadline  # type: ignore[operator]

    def test_nobody_else_may(self, store: Redis) -> None:
        session = opened()
        age(store, session, clock.MINUTE)
        for secret in ("", "x", store.get(ANCHOR).rpartition("ref:")[2], "\udcff"):
            assert sessions.refresh_session(session.id, secret) is None
            assert not sessions.end(session.id, secret)
        for other in ("portal:CUST001:0", "portal:CUST002:" + session.id[-16:], "customer:CUST001:portal", "x", ""):
            assert sessions.refresh_session(other, session.secret) is None
            assert not sessions.end(other, session.secret)

    def test_a_use_a_moment_later_writes_nothing(self, store: Redis) -> None:
        session = opened()
        before = store.info("commandstats").get("cmdstat_set", {}).get("calls", 0)
        assert sessions.refresh_session(session.id, session.secret) == session.deadline
        assert store.info("commandstats").get("cmdstat_set", {}).get("calls", 0) == before

    @pytest.mark.usefixtures("every_use")
    def test_an_app_session_slides_by_two_hours(self, store: Redis) -> None:
        session = on_the_phone()
        age(store, session, clock.HOUR)
        deadline = sessions.refresh_session(session.id, session.secret)
        assert deadline and abs(deadline - clock.now_ms() - 2 * clock.HOUR) < 2_000
        assert store.pexpiretime("session:mobile:CUST001:device123") == deadline

    def test_what_has_expired_stays_so(self, store: Redis) -> None:
        session = opened()
        for name in store.keys("*CUST001*"):
            store.pexpireat(name, clock.now_ms() - 1)
        assert sessions.refresh_session(session.id, session.secret) is None
        assert store.keys("session:*") == []

    def test_what_another_tool_deleted_is_over(self, store: Redis) -> None:
        session = opened()
        store.delete(ANCHOR)
        sessions.refresh(store, ["customer:CUST001:portal"])
        assert sessions.refresh_session(session.id, session.secret) is None
        assert sessions.listing(store, Filter()).rows == []
        (over,) = sessions.ended(store, PERSON).rows
        assert (over.session, over.how) == (session.id, "removed")

    def test_the_documents_own_refresh_prolongs_it(self, store: Redis) -> None:
        session = opened()
        began = store.get(ANCHOR).split("|")[1]
        store.set(ANCHOR, f"authenticated|{began}|last_activity:2099-01-01T00:00:00Z", ex=1_800)
        sessions.refresh(store, ["customer:CUST001:portal"])
        (found,) = sessions.listing(store, Filter()).rows
        assert (found.id, found.address) == (session.id, "192.168.1.100"), "what it dropped is known still"
        age(store, session, clock.MINUTE)
        assert sessions.refresh_session(session.id, session.secret)
        assert "ip:192.168.1.100" in store.get(ANCHOR)


class TestEnding:
    def test_its_owner_signs_out(self, store: Redis) -> None:
        session = opened()
        assert sessions.end(session.id, session.secret)
        assert store.keys("session:*") == store.keys("dash:session:*") == []
        assert not sessions.end(session.id, session.secret)
        assert sessions.refresh_session(session.id, session.secret) is None
        (over,) = sessions.ended(store, PERSON).rows
        assert (over.session, over.how, over.by, over.device) == (
            session.id, "signed out", None, "Chrome 115.0, Windows 10",
        )  # fmt: skip

    @pytest.mark.parametrize("begin", [opened, on_the_phone])
    def test_an_admin_ends_it_for_the_very_next_request(self, store: Redis, begin: Callable[[], Opened]) -> None:
        session = begin()
        assert sessions.revoke([session.id], by="ADM001").ended == (session.id,)
        assert store.keys("session:*") == []
        assert sessions.refresh_session(session.id, session.secret) is None
        (over,) = sessions.ended(store, PERSON).rows
        assert (over.how, over.by) == ("revoked", "ADM001")

    def test_all_of_a_person_at_once_with_the_reason(self, store: Redis) -> None:
        opened(), opened(), on_the_phone()
        other = opened("CUST002")
        assert sessions.end_all(PERSON, "SUP001", "the password was changed") == 3
        assert [row.id for row in sessions.listing(store, Filter()).rows] == [other.id]
        assert {(each.how, each.by, each.why) for each in sessions.ended(store, PERSON).rows} == {
            ("revoked", "SUP001", "the password was changed")
        }
        assert sessions.end_all(PERSON, "SUP001", "again") == 0


class TestSeveralAtOnce:
    def test_each_is_listed_used_and_ended_by_itself(self, store: Redis) -> None:
        first, second = opened(), opened(device="Safari 17|macOS")
        assert store.get("session:customer:CUST001:device") == "Safari 17|macOS", (
            "the customer's key tells of the latest"
        )
        found = {row.id: row for row in sessions.listing(store, Filter()).rows}
        assert {row.id: row.latest for row in found.values()} == {first.id: False, second.id: True}
        assert found[first.id].device == "Chrome 115.0, Windows 10"
        age(store, first, clock.MINUTE)
        assert sessions.refresh_session(first.id, first.secret)
        assert store.get("session:customer:CUST001:device") == "Safari 17|macOS"
        assert sessions.end(first.id, first.secret)
        assert [row.id for row in sessions.listing(store, Filter()).rows] == [second.id]
        assert store.exists(ANCHOR)

    def test_when_the_latest_ends_the_customers_keys_tell_of_the_one_before(self, store: Redis) -> None:
        first, second = opened(), opened(device="Safari 17|macOS")
        assert sessions.end(second.id, second.secret)
        assert store.get("session:customer:CUST001:device") == "Chrome 115.0|Windows 10"
        assert deadlines(store, first) == {first.deadline}
        assert [(row.id, row.latest) for row in sessions.listing(store, Filter()).rows] == [(first.id, True)]

    def test_when_the_latest_has_expired_the_next_use_of_the_other_tells_of_it(self, store: Redis) -> None:
        first, second = opened(), opened()
        for name in (*keys.portal_keys(PERSON), keys.portal_latest(PERSON), keys.session_facts(*second.id.split(":"))):
            store.delete(name)
        age(store, first, clock.MINUTE)
        assert sessions.refresh_session(first.id, first.secret)
        assert store.exists(ANCHOR) and store.get(keys.portal_latest(PERSON)) == first.id.split(":")[2]

    def test_another_tools_login_takes_the_key_and_ours_lives_on(self, store: Redis) -> None:
        session = opened()
        store.set(ANCHOR, "authenticated|login_time:2024-08-18T10:30:00Z|ip:1.2.3.4", ex=600)
        sessions.refresh(store, ["customer:CUST001:portal"])
        found = {row.id: row.address for row in sessions.listing(store, Filter()).rows}
        assert found == {session.id: "192.168.1.100", "customer:CUST001:portal": "1.2.3.4"}
        age(store, session, clock.MINUTE)
        assert sessions.refresh_session(session.id, session.secret)
        assert "ip:1.2.3.4" in store.get(ANCHOR)
