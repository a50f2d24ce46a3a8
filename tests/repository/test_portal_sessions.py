"""Customers' sessions opened here: the document's keys, one deadline, prolonged by use, and over for good when ended."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired, Invalid
from dashboard.live.follower import Follower
from dashboard.repository import audit, portal_sessions, session_ends, sessions
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


def wait_for(true: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


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
            session.id, "signed_out", None, "Chrome 115.0, Windows 10",
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
    """Trap 21: the customer's one key tells of the latest, and each is kept."""

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


class TestActivity:
    """A portal session's timeout follows its activity level (lines 207-218)."""

    def level(self, store: Redis, session: Opened) -> tuple[str | None, int]:
        """What the customer's key says, and the session's own minutes (trap 22)."""
        deadline = store.pexpiretime(ANCHOR)
        assert deadlines(store, session) == {deadline}
        return store.get("session:customer:CUST001:activity_level"), round((deadline - clock.now_ms()) / clock.MINUTE)

    @pytest.mark.parametrize(("level", "minutes"), [("normal", 30), ("high", 60), ("idle", 15), ("vip", 120)])
    def test_an_admin_sets_it_and_all_keys_of_the_session_live_so_long(
        self, store: Redis, level: str, minutes: int
    ) -> None:
        session = opened()
        sessions.set_activity(session.id, level, by="ADM001")
        assert self.level(store, session) == (level, minutes)
        (row,) = sessions.listing(store, Filter(activity=level)).rows
        assert (row.pinned, row.deadline) == (True, store.pexpiretime(ANCHOR))
        assert level in audit.history(store, audit.SESSION, PERSON)[0].text

    @pytest.mark.usefixtures("every_use")
    def test_what_an_admin_chose_outlasts_uses_until_it_is_given_back(self, store: Redis) -> None:
        session = opened()
        sessions.set_activity(session.id, "high", by="ADM001")
        age(store, session, 20 * clock.MINUTE)
        sessions.refresh_session(session.id, session.secret, activity="idle")
        assert self.level(store, session) == ("high", 60)
        sessions.set_activity(session.id, sessions.BY_RULE, by="ADM001")
        assert self.level(store, session) == ("normal", 30)
        sessions.refresh_session(session.id, session.secret, activity="idle")
        assert self.level(store, session) == ("idle", 15)

    @pytest.mark.usefixtures("every_use")
    def test_what_another_tool_chose_counts_as_chosen(self, store: Redis) -> None:
        session = opened()
        store.set("session:customer:CUST001:activity_level", "vip", ex=7_200)
        sessions.refresh_session(session.id, session.secret)
        assert self.level(store, session) == ("vip", 120)

    def test_another_tools_session_gets_it_too(self, store: Redis) -> None:
        store.set(ANCHOR, "authenticated|login_time:2024-08-18T10:30:00Z", ex=600)
        store.set("session:customer:CUST001:device", "Chrome", ex=600)
        member = "customer:CUST001:portal"
        sessions.refresh(store, [member])
        sessions.set_activity(member, "vip", by="ADM001")
        ends = {
            store.pexpiretime(f"session:customer:CUST001:{each}") for each in ("portal", "device", "activity_level")
        }
        assert len(ends) == 1 and abs(ends.pop() - clock.now_ms() - 2 * clock.HOUR) < 2_000
        with pytest.raises(Conflict):
            sessions.set_activity(member, sessions.BY_RULE, by="ADM001")

    @pytest.mark.usefixtures("every_use")
    def test_a_customer_of_the_vip_tier_has_it_from_the_beginning(self, store: Redis) -> None:
        store.sadd(keys.tier("platinum"), PERSON)
        session = opened()
        assert self.level(store, session) == ("vip", 120)
        store.srem(keys.tier("platinum"), PERSON)
        sessions.refresh_session(session.id, session.secret)
        assert self.level(store, session) == ("normal", 30)

    @pytest.mark.usefixtures("every_use")
    def test_many_uses_within_minutes_are_high_activity(self, store: Redis) -> None:
        session = opened()
        for _ in range(portal_sessions.HIGH_USES - 2):
            sessions.refresh_session(session.id, session.secret)
        assert self.level(store, session) == ("normal", 30)
        sessions.refresh_session(session.id, session.secret)
        assert self.level(store, session) == ("high", 60)
        age(store, session, portal_sessions.HIGH_WINDOW)
        sessions.refresh_session(session.id, session.secret)
        assert self.level(store, session) == ("normal", 30), "those uses are long ago"

    @pytest.mark.usefixtures("every_use")
    def test_a_long_pause_makes_it_idle_until_it_is_used_again(self, store: Redis) -> None:
        session = opened()
        age(store, session, portal_sessions.IDLE_AFTER)
        sessions.refresh_session(session.id, session.secret)
        assert self.level(store, session) == ("idle", 15)
        sessions.refresh_session(session.id, session.secret)
        assert self.level(store, session) == ("normal", 30)

    def test_of_what_is_over_or_has_none_nothing_is_set(self, store: Redis) -> None:
        session, phone = opened(), on_the_phone()
        sessions.end(session.id, session.secret)
        with pytest.raises(Expired):
            sessions.set_activity(session.id, "vip", by="ADM001")
        assert not store.exists("session:customer:CUST001:activity_level")
        for member, level in ((phone.id, "vip"), ("nonsense", "vip"), (phone.id, "frantic")):
            with pytest.raises(Invalid):
                sessions.set_activity(member, level, by="ADM001")

    def test_the_same_form_twice_is_one_change(self, store: Redis) -> None:
        session = opened()
        for _ in range(2):
            sessions.set_activity(session.id, "vip", by="ADM001", token="d" * 40)
        assert len(audit.history(store, audit.SESSION, PERSON)) == 1


class TestHowTheyEnded:
    def test_one_that_ran_out_of_time_is_told_at_its_deadline(self, store: Redis) -> None:
        session = opened()
        end = clock.now_ms() + 30
        for name in store.keys("*CUST001*"):
            if "snapshot" not in name:
                store.pexpireat(name, end)
        snapshot = json.loads(store.get(keys.session_snapshot(session.id)))
        store.set(keys.session_snapshot(session.id), json.dumps({**snapshot, "deadline": end}), keepttl=True)
        while store.exists(ANCHOR):
            pass
        for _ in range(2):
            sessions.refresh(store, [session.id])
        (over,) = sessions.ended(store, PERSON).rows
        assert (over.how, clock.ms(over.at), over.device) == ("expired", end, "Chrome 115.0, Windows 10")

    def test_the_follower_finds_it_by_its_deadline(self, store: Redis) -> None:
        store.set("session:mobile:CUST001:device123", "iPhone 12|iOS 15.0", px=400)
        sessions.refresh(store, ["mobile:CUST001:device123"])
        stop = threading.Event()
        follower = threading.Thread(target=Follower(store).run, args=(stop,))
        follower.start()
        try:
            wait_for(lambda: sessions.ended(store, PERSON).total == 1)
        finally:
            stop.set()
            follower.join()
        (over,) = sessions.ended(store, PERSON).rows
        assert (over.how, over.session, over.device) == ("expired", "mobile:CUST001:device123", "iPhone 12, iOS 15.0")

    def test_filters_and_pages(self, store: Redis) -> None:
        for _ in range(3):
            session = opened()
            sessions.end(session.id, session.secret)
        sessions.revoke([on_the_phone().id], by="ADM001")
        assert sessions.ended(store).total == sessions.ended(store, PERSON).total == 4
        assert [each.kind for each in sessions.ended(store, kind="mobile").rows] == ["mobile"]
        assert [each.by for each in sessions.ended(store, PERSON, how="revoked").rows] == ["ADM001"]
        first = sessions.ended(store, size=3)
        second = sessions.ended(store, size=3, cursor=first.next)
        assert (len(first.rows), len(second.rows), second.first) == (3, 1, 4)
        assert first.rows[0].at >= first.rows[-1].at >= second.rows[0].at
        later = clock.moment(clock.now_ms() + 60_000)
        assert sessions.ended(store, since=later).total == 0 and sessions.ended(store, until=later).total == 4
        assert len(list(sessions.every_ended(store, sessions.EndedFilter(how="signed_out")))) == 3
        assert sessions.ended_totals(store) == {
            "": 4, "signed_out": 3, "expired": 0, "revoked": 1, "replaced": 0, "removed": 0,
        }  # fmt: skip

    def test_each_is_kept_for_thirty_days(self, store: Redis) -> None:
        sessions.revoke([opened().id], by="ADM001")
        (name,) = store.keys("dash:ended-session:*")
        assert abs(store.pexpiretime(name) - clock.now_ms() - 30 * clock.DAY) < 2_000
        assert store.keys("dash:session-snapshot:*") == []

    def test_what_others_broke_is_none(self, store: Redis) -> None:
        sessions.revoke([opened().id], by="ADM001")
        (name,) = store.keys("dash:ended-session:*")
        for broken in ("", "[]", '{"at": "x"}', '{"at": 1, "how": "eaten", "session": "x"}', '{"at": -1}'):
            store.set(name, broken, keepttl=True)
            assert session_ends.load_ended(store, [name.removeprefix("dash:ended-session:")]) == {}
        assert sessions.ended(store).rows == []


class TestBroughtBack:
    """Trap 20: another tool read a session, it was ended, and the tool writes it anew."""

    def test_it_is_none_and_is_taken_away_again(self, store: Redis) -> None:
        session = opened()
        text = store.get(ANCHOR)
        sessions.revoke([session.id], by="ADM001")
        store.set(ANCHOR, text + "|last_activity:2024-08-18T10:50:00Z", ex=1_800)
        assert sessions.refresh_session(session.id, session.secret) is None
        assert sessions.of_person(store, PERSON) == []
        sessions.refresh(store, ["customer:CUST001:portal"])
        assert not store.exists(ANCHOR)

    def test_another_tools_own_session_does_not_come_back_either(self, store: Redis) -> None:
        text = "authenticated|login_time:2024-08-18T10:30:00Z|ip:1.2.3.4"
        store.set(ANCHOR, text, ex=600)
        sessions.refresh(store, ["customer:CUST001:portal"])
        sessions.revoke(["customer:CUST001:portal"], by="ADM001")
        store.set(ANCHOR, text, ex=600)
        assert sessions.of_person(store, PERSON) == []
        sessions.refresh(store, ["customer:CUST001:portal"])
        assert not store.exists(ANCHOR)

    def test_an_app_session_is_known_again_by_its_digest(self, store: Redis) -> None:
        session = sessions.open_device("mobile", PERSON, "d1", device="iPhone 12")
        kept = {name: store.get(name) for name in left(store)}
        sessions.revoke([session.id], by="ADM001")
        for name, text in kept.items():
            store.set(name, text, ex=7_200)
        assert sessions.of_person(store, PERSON) == []
        sessions.refresh(store, [session.id])
        assert left(store) == []

    def test_a_new_login_is_let_in(self, store: Redis) -> None:
        sessions.revoke([opened().id], by="ADM001")
        store.set(ANCHOR, "authenticated|login_time:2099-08-18T10:30:00Z", ex=600)
        sessions.refresh(store, ["customer:CUST001:portal"])
        assert [row.id for row in sessions.of_person(store, PERSON)] == ["customer:CUST001:portal"]
        assert store.exists(ANCHOR)


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """Run these at the same moment, each in a thread of its own; what they gave, in order."""
    start, given = threading.Barrier(len(acts)), [None] * len(acts)

    def run(at: int) -> None:
        start.wait()
        given[at] = acts[at]()  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given


def left(store: Redis) -> list[str]:
    return [*store.keys("session:*"), *store.keys("dash:session:*"), *store.keys("dash:portal:*")]


class TestRevokedWhileItIsUsed:
    """An admin ends a session while its owner's requests, many at a time, prolong it."""

    def storm(self, store: Redis, use: Callable[[Opened], object], uses: int, by: int = 8) -> bool:
        """Whether anything of a session lives after it was ended amid so many uses."""
        session, half, over = opened(), threading.Event(), threading.Event()

        def work(at: int) -> None:
            for number in range(uses // by):
                if number == uses // by // 2:
                    half.set()
                use(session)
            while not over.is_set():
                use(session)
            use(session)

        def admin() -> None:
            half.wait()
            try:
                assert sessions.revoke([session.id], by="ADM001").ended == (session.id,)
            finally:
                over.set()

        at_once([*(partial(work, at) for at in range(by)), admin])
        lives = bool(left(store)) or sessions.refresh_session(session.id, session.secret) is not None
        store.flushall()
        return lives

    @staticmethod
    def use(session: Opened) -> object:
        return sessions.refresh_session(session.id, session.secret)

    @staticmethod
    def naive(store: Redis) -> Callable[[Opened], object]:
        """As the document refreshes: read, then SET."""

        def use(session: Opened) -> None:
            text = store.get(ANCHOR)
            if text:
                time.sleep(0.001)
                store.set(ANCHOR, text, ex=1_800)

        return use

    def test_it_never_lives_again_after_a_hundred(self, store: Redis) -> None:
        assert not self.storm(store, self.use, 100)

    def test_control_reading_then_setting_brings_it_back(self, store: Redis) -> None:
        assert any(self.storm(store, self.naive(store), 100) for _ in range(20))

    @pytest.mark.long
    def test_nor_after_a_thousand(self, store: Redis) -> None:
        assert not any(self.storm(store, self.use, 1_000) for _ in range(3))

    @pytest.mark.usefixtures("every_use")
    def test_nor_where_every_use_writes(self, store: Redis) -> None:
        """One use against one revocation, over and over: each meets the other at another point."""
        revived = 0
        for _ in range(40):
            session = opened()
            at_once([partial(self.use, session), partial(sessions.revoke, [session.id], by="ADM001")])
            revived += bool(left(store))
            store.flushall()
        assert revived == 0


class TestAtTheVeryMoment:
    def test_two_logins_are_two_sessions_and_the_key_tells_of_one_of_them(self, store: Redis) -> None:
        for _ in range(10):
            both = [each for each in at_once([opened, opened]) if isinstance(each, Opened)]
            found = {row.id: row.latest for row in sessions.of_person(store, PERSON)}
            assert found.keys() == {each.id for each in both}
            assert sorted(found.values()) == [False, True]
            assert all(sessions.refresh_session(each.id, each.secret) for each in both)
            assert all(sessions.end(each.id, each.secret) for each in both)
            assert left(store) == []

    def test_control_one_key_for_both_loses_one(self, store: Redis) -> None:
        def naive(at: int) -> None:
            store.set(ANCHOR, f"authenticated|login_time:2024-08-18T10:30:0{at}Z", ex=1_800)

        at_once([partial(naive, 1), partial(naive, 2)])
        sessions.refresh(store, ["customer:CUST001:portal"])
        assert len(sessions.of_person(store, PERSON)) == 1

    @pytest.mark.usefixtures("every_use")
    def test_the_latest_ends_while_the_one_before_is_ended_too(self, store: Redis) -> None:
        for _ in range(15):
            first, second = opened(), opened()
            ended = at_once([partial(sessions.end, each.id, each.secret) for each in (first, second)])
            assert ended == [True, True]
            assert left(store) == []

    @pytest.mark.usefixtures("every_use")
    def test_used_at_its_very_end_it_lives_whole_or_not_at_all(self, store: Redis) -> None:
        for round_ in range(40):
            session = opened()
            end = clock.now_ms() + 4 + round_ % 8
            for name in left(store):
                store.pexpireat(name, end)
            while clock.now_ms() < end - 3:
                pass
            given = sessions.refresh_session(session.id, session.secret)
            while clock.now_ms() <= end:
                pass
            assert (deadlines(store, session) == {given}) if given else not left(store)
            store.flushall()
