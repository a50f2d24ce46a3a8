"""Sessions: as the customer's keys tell them, one deadline each, and ended for good when they are ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, sessions, workstations
from dashboard.repository.sessions import Filter, Staff
from dashboard.repository.values import moment

AGENT = Staff(
    id="AG001",
    branch="dallas",
    permissions=sessions.AGENT_PERMISSIONS,
    branches=["dallas", "fort_worth"],
    products=["auto", "home", "life"],
    device="Chrome 115.0|Windows",
    address="10.0.0.7",
)
MEMBER, ANCHOR = "agent:AG001:workstation", "session:agent:AG001:workstation"
PORTAL, MOBILE = "customer:CUST001:portal", "mobile:CUST001:device123"


def portal(
    store: Redis, person: str = "CUST001", seconds: int = 1800, level: str | None = None, *, followed: bool = True
) -> str:
    """As the customer's tools write it (lines 97-103)."""
    said = {
        "portal": "authenticated|login_time:2024-08-18T10:30:00Z|ip:192.168.1.100",
        "device": "Chrome 115.0|Windows 10",
        "permissions": "view_policies,make_payments,update_profile",
        "last_activity": "2024-08-18T10:45:00Z",
    } | ({"activity_level": level} if level else {})
    for field, value in said.items():
        store.set(f"session:customer:{person}:{field}", value, ex=seconds)
    if followed:
        sessions.refresh(store, [f"customer:{person}:portal"])
    return f"customer:{person}:portal"


def mobile(store: Redis) -> str:
    store.set("session:mobile:CUST001:device123", "iPhone 12|iOS 15.0|app_version:2.1.0", ex=7200)
    sessions.refresh(store, [MOBILE])
    return MOBILE


def workstation_keys_left(store: Redis) -> list[str]:
    return [name for name in keys.workstation_keys("AG001") if store.exists(name)]


class TestReading:
    def test_a_portal_session_as_the_document_writes_it(self, store: Redis) -> None:
        session = sessions.load(store, [portal(store)])[PORTAL]
        assert (session.kind, session.person, session.address) == ("portal", "CUST001", "192.168.1.100")
        assert session.device == "Chrome 115.0, Windows 10"
        assert session.permissions == ("view_policies", "make_payments", "update_profile")
        assert session.signed_in and clock.iso(session.signed_in) == "2024-08-18T10:30:00Z"
        assert session.last_activity and clock.iso(session.last_activity) == "2024-08-18T10:45:00Z"
        assert session.lifetime == 30 * clock.MINUTE
        assert session.problems == ()

    def test_the_refreshed_form_of_the_document_is_read_too(self, store: Redis) -> None:
        portal(store)
        value = "authenticated|login_time:2024-08-18T10:30:00Z|last_activity:2024-08-18T10:50:00Z"
        store.set("session:customer:CUST001:portal", value, ex=1800)
        session = sessions.load(store, [PORTAL])[PORTAL]
        assert session.last_activity and clock.iso(session.last_activity) == "2024-08-18T10:50:00Z"
        assert session.address is None

    @pytest.mark.parametrize(("level", "minutes"), [("normal", 30), ("high", 60), ("idle", 15), ("vip", 120)])
    def test_the_activity_level_sets_the_lifetime(self, store: Redis, level: str, minutes: int) -> None:
        session = sessions.load(store, [portal(store, seconds=60, level=level)])[PORTAL]
        assert (session.activity, session.lifetime) == (level, minutes * clock.MINUTE)

    def test_an_app_session_is_one_key(self, store: Redis) -> None:
        session = sessions.load(store, [mobile(store)])[MOBILE]
        assert (session.kind, session.device_id) == ("mobile", "device123")
        assert session.device == "iPhone 12, iOS 15.0, app 2.1.0"
        assert [row.name for row in sessions.stored_as(store, MOBILE)] == ["session:mobile:CUST001:device123"]

    def test_attributes_without_an_anchor_are_no_session(self, store: Redis) -> None:
        store.set("session:customer:CUST002:activity_level", "high", ex=3600)
        sessions.refresh(store, ["customer:CUST002:portal"])
        assert sessions.listing(store, Filter()).rows == []

    def test_broken_values_are_named_and_the_row_stands(self, store: Redis) -> None:
        store.rpush("session:customer:CUST001:portal", "x")
        store.set("session:customer:CUST001:device", b"\xff" + b"x" * 1_000_000)
        store.set("session:customer:CUST001:last_activity", "yesterday")
        sessions.refresh(store, [PORTAL])
        (session,) = sessions.listing(store, Filter()).rows
        assert session.deadline is None
        assert len(session.device or "") < 2_100
        assert {problem.key.rpartition(":")[2] for problem in session.problems} == {"portal", "device", "last_activity"}

    @pytest.mark.parametrize(
        "member", ["", "agent", "agent:AG001:permissions", "customer:*:portal", "x:y:z", "a" * 5000]
    )
    def test_what_is_no_sessions_id_is_none(self, store: Redis, member: str) -> None:
        assert sessions.load(store, [member]) == {}
        assert sessions.refresh(store, [member]) == 0


class TestListing:
    @pytest.fixture(autouse=True)
    def _book(self, store: Redis) -> None:
        portal(store, "CUST001", 1800, "normal")
        portal(store, "CUST002", 3600, "high")
        mobile(store)
        sessions.open_workstation(AGENT, "nonce")

    def test_the_next_to_end_comes_first(self, store: Redis) -> None:
        ids = [session.id for session in sessions.listing(store, Filter()).rows]
        assert ids == [PORTAL, "customer:CUST002:portal", MOBILE, MEMBER]

    @pytest.mark.parametrize(
        ("wanted", "ids"),
        [
            (Filter(kind="portal"), [PORTAL, "customer:CUST002:portal"]),
            (Filter(person="CUST001"), [PORTAL, MOBILE]),
            (Filter(activity="high"), ["customer:CUST002:portal"]),
            (Filter(kind="portal", person="CUST001", activity="normal"), [PORTAL]),
            (Filter(kind="mobile", activity="high"), []),
            (Filter(person="NOBODY"), []),
        ],
    )
    def test_filters(self, store: Redis, wanted: Filter, ids: list[str]) -> None:
        page = sessions.listing(store, wanted)
        assert ([session.id for session in page.rows], page.total) == (ids, len(ids))

    def test_totals(self, store: Redis) -> None:
        expected = {"": 4, "portal": 2, "mobile": 1, "tablet": 0, "workstation": 1}
        assert sessions.totals(store, Filter()) == expected

    def test_pages(self, store: Redis) -> None:
        first = sessions.listing(store, Filter(), size=2)
        second = sessions.listing(store, Filter(), size=2, cursor=first.next)
        assert [session.id for session in second.rows] == [MOBILE, MEMBER]
        assert (second.first, second.total) == (3, 4)

    def test_what_ended_behind_our_back_is_pruned_and_the_page_filled_up(self, store: Redis) -> None:
        store.delete("session:customer:CUST001:portal")
        page = sessions.listing(store, Filter(), size=2)
        assert [session.id for session in page.rows] == ["customer:CUST002:portal", MOBILE]
        assert page.total == 3

    def test_the_number_of_commands_does_not_grow_with_the_list(self, store: Redis) -> None:
        few = commands(store, lambda: sessions.listing(store, Filter()))
        sessions.refresh(store, [portal(store, f"CUST{number}", followed=False) for number in range(100, 400)])
        assert commands(store, lambda: sessions.listing(store, Filter())) <= few + 3 * 50, "three for a row, in a pipe"


def commands(store: Redis, act: Callable[[], object]) -> int:
    before = store.info("stats")["total_commands_processed"]
    act()
    return store.info("stats")["total_commands_processed"] - before - 1


class TestWorkstation:
    def test_signing_in_writes_the_documents_keys_with_one_deadline(self, store: Redis) -> None:
        deadline = sessions.open_workstation(AGENT, "nonce")
        anchor = store.get(ANCHOR)
        assert anchor.startswith("authenticated|login_time:2")
        assert "|branch:dallas|ref:" in anchor
        assert "nonce" not in anchor
        said = {name: store.get(keys.workstation_field("AG001", name)) for name in keys.WORKSTATION_FIELDS}
        assert said["permissions"] == "create_quotes,bind_policies,process_claims,view_customer_data"
        assert said["branch_access"] == "dallas,fort_worth"
        assert said["product_access"] == "auto,home,life"
        assert said["quotes_today"] == said["policies_sold_today"] == said["customer_calls_today"] == "0"
        assert {store.pexpiretime(name) for name in keys.workstation_keys("AG001")} == {deadline}
        assert abs(deadline - clock.now_ms() - 8 * clock.HOUR) < 2_000

    def test_the_days_figures_are_copied_and_the_calls_kept(self, store: Redis) -> None:
        today = clock.today().isoformat()
        store.set(keys.daily_agent_metric(today, "AG001", "quotes_generated"), "8")
        store.set(keys.daily_agent_metric(today, "AG001", "policies_sold"), "3")
        store.set(keys.workstation_field("AG001", "customer_calls_today"), "12", ex=60)
        sessions.open_workstation(AGENT, "nonce")
        told = [store.get(keys.workstation_field("AG001", name)) for name in keys.WORKSTATION_FIELDS[3:6]]
        assert told == ["8", "3", "12"]

    def test_it_lives_for_the_browser_that_opened_it_and_no_other(self, store: Redis) -> None:
        deadline = sessions.open_workstation(AGENT, "mine")
        assert sessions.check(store, "AG001", "mine").deadline == deadline
        assert sessions.check(store, "AG001", "theirs").reason == "replaced"
        assert sessions.check(store, "AG002", "mine").reason == "ended"
        assert not sessions.check(store, "no:body", "mine").lives

    def test_knowing_the_key_is_not_having_the_session(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "mine")
        reference = store.get(ANCHOR).rpartition("ref:")[2]
        assert not sessions.check(store, "AG001", reference).lives

    def test_a_key_without_a_reference_lets_nobody_in(self, store: Redis) -> None:
        store.set(ANCHOR, "authenticated|login_time:2024-08-18T08:00:00Z|branch:dallas", ex=60)
        assert not sessions.check(store, "AG001", "").lives
        store.delete(ANCHOR)
        store.rpush(ANCHOR, "x")
        assert not sessions.check(store, "AG001", "").lives

    def test_activity_slides_but_the_end_does_not(self, store: Redis) -> None:
        deadline = sessions.open_workstation(AGENT, "nonce")
        active = keys.workstation_field("AG001", "last_activity")
        store.set(active, clock.iso(clock.now() - timedelta(minutes=5)), keepttl=True)
        sessions.check(store, "AG001", "nonce")
        assert abs(clock.ms(clock.now()) - clock.ms(moment(store.get(active)))) < 2_000  # type: ignore[arg-type]
        assert store.pexpiretime(active) == store.pexpiretime(ANCHOR) == deadline

    def test_a_check_is_one_round_trip_and_writes_at_most_every_ten_seconds(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "nonce")
        assert commands(store, lambda: sessions.check(store, "AG001", "nonce")) == 2
        store.set(keys.workstation_field("AG001", "last_activity"), "broken", keepttl=True)
        assert commands(store, lambda: sessions.check(store, "AG001", "nonce")) > 2
        assert commands(store, lambda: sessions.check(store, "AG001", "nonce")) == 2

    def test_signing_out_ends_it_but_not_the_one_that_replaced_it(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "first")
        sessions.open_workstation(AGENT, "second")
        assert not sessions.close("AG001", "first")
        assert sessions.check(store, "AG001", "second").lives
        assert sessions.close("AG001", "second")
        assert workstation_keys_left(store) == []
        assert sessions.listing(store, Filter()).total == 0


class TestRevoking:
    def test_everything_of_a_session_goes_and_its_owner_is_told_by_whom(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "nonce")
        revoked = sessions.revoke([MEMBER], by="ADM001")
        assert (revoked.ended, revoked.gone) == ((MEMBER,), ())
        assert workstation_keys_left(store) == []
        assert not sessions.check(store, "AG001", "nonce").lives
        grave = sessions.tombstone(store, "AG001")
        assert grave and grave.by == "ADM001"
        assert abs(clock.ms(grave.at) - clock.now_ms()) < 2_000
        assert 0 < store.pttl(keys.tombstone("AG001")) <= 8 * clock.HOUR
        assert sessions.listing(store, Filter()).total == 0

    def test_it_is_on_record(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "nonce")
        sessions.revoke([MEMBER], by="ADM001")
        (record,) = audit.history(store, audit.SESSION, "AG001")
        assert record.text.startswith("Workstation session of AG001, signed in 2")
        assert record.text.endswith("Chrome 115.0, Windows ended by ADM001")
        assert "ref" not in record.text

    def test_several_in_one_transaction_and_what_was_gone_is_told_apart(self, store: Redis) -> None:
        portal(store), mobile(store), sessions.open_workstation(AGENT, "nonce")
        revoked = sessions.revoke([MEMBER, PORTAL, MOBILE, "tablet:CUST001:lost", "nonsense"], by="ADM001")
        assert revoked.ended == (MEMBER, PORTAL, MOBILE)
        assert revoked.gone == ("tablet:CUST001:lost", "nonsense")
        assert store.keys("session:*") == []

    def test_others_are_left_alone(self, store: Redis) -> None:
        portal(store), mobile(store)
        sessions.revoke([PORTAL], by="ADM001")
        assert [session.id for session in sessions.of_person(store, "CUST001")] == [MOBILE]
        assert sessions.tombstone(store, "CUST001") is None, "only staff work here"

    def test_signing_in_again_is_possible_and_removes_the_note(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "nonce")
        sessions.revoke([MEMBER], by="ADM001")
        sessions.open_workstation(AGENT, "another")
        assert sessions.tombstone(store, "AG001") is None
        assert sessions.check(store, "AG001", "another").lives
        assert not sessions.check(store, "AG001", "nonce").lives

    def test_the_same_form_twice_ends_nothing_new(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "nonce")
        first = sessions.revoke([MEMBER], by="ADM001", token="a" * 40)
        sessions.open_workstation(AGENT, "another")
        assert sessions.revoke([MEMBER], by="ADM001", token="a" * 40) == first
        assert sessions.check(store, "AG001", "another").lives

    def test_open_pages_are_told(self, store: Redis) -> None:
        sessions.open_workstation(AGENT, "nonce")
        with store.pubsub() as channel:
            channel.subscribe(keys.LIVE_CHANNEL)
            channel.get_message(timeout=1)
            sessions.revoke([MEMBER], by="ADM001")
            told = json.loads(channel.get_message(timeout=1)["data"])
            assert told == {"sessions": ["agent:AG001:workstation"]}

    @pytest.mark.parametrize("broken", ["", "nonsense", "[]", '{"by": 1}', '{"by": "x", "at": "y"}'])
    def test_a_broken_note_is_none(self, store: Redis, broken: str) -> None:
        store.set(keys.tombstone("AG001"), broken)
        assert sessions.tombstone(store, "AG001") is None


ROUNDS = 1_000


class TestRevokedAtTheVeryMoment:
    """An owner at work, whose every request wants to note activity, while an admin ends the session."""

    @pytest.mark.long
    def test_it_is_never_brought_back(self, store: Redis) -> None:
        def at_work() -> None:
            workstations._touch(store, "AG001")
            sessions.check(store, "AG001", "nonce")

        assert self._revived(store, at_work) == 0

    @pytest.mark.long
    def test_control_reading_then_writing_brings_it_back(self, store: Redis) -> None:
        def naive() -> None:
            if store.get(ANCHOR):
                store.set(keys.workstation_field("AG001", "last_activity"), "now", ex=28_800)

        assert self._revived(store, naive, rounds=200) > 0

    def _revived(self, store: Redis, at_work: Callable[[], None], rounds: int = ROUNDS) -> int:
        revived = 0
        for _ in range(rounds):
            store.delete(keys.refs_ended("AG001"))  # it is the same nonce each time
            sessions.open_workstation(AGENT, "nonce")
            start, over = threading.Barrier(2), threading.Event()

            def work(start: threading.Barrier = start, over: threading.Event = over) -> None:
                start.wait()
                while not over.is_set():
                    at_work()
                at_work()

            owner = threading.Thread(target=work)
            owner.start()
            start.wait()
            assert sessions.revoke([MEMBER], by="ADM001").ended == (MEMBER,)
            over.set()
            owner.join()
            revived += bool(workstation_keys_left(store))
        return revived
