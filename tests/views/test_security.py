"""The security page: for admins only, shows what stands against or for every account, and lifts what was chosen."""

from __future__ import annotations

import csv
import io
import re
import time
from datetime import datetime

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import audit, codes, jobs, lockouts, security, sessions
from dashboard.views import security as page
from tests import cast

HTMX = {"HX-Request": "true", "HX-Trigger": "main"}


def fail(account: str, times: int) -> None:
    for _ in range(times):
        lockouts.begin(account)


@pytest.fixture
def standing(store: Redis) -> None:
    """A locked agent, a customer with two failures, codes and tokens of both; one of another tool's making."""
    fail("AG001", 3)
    fail("CUST001", 2)
    time.sleep(0.002)  # each lives for five minutes: of one millisecond they would stand in the order of their names
    codes.issue("code", "AG002")
    time.sleep(0.002)
    store.set(keys.two_factor("CUST001", "code789"), "123456", ex=300)
    store.set(keys.password_reset("CUST001", "token123"), "valid|issued:2024-08-18T10:30:00Z", ex=900)
    security.refresh(store, ["code:CUST001:code789", "reset:CUST001:token123"])


def shown(client: Client, address: str = "/security/", **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def rows(client: Client, address: str = "/security/", **headers: str) -> list[str]:
    """Kind and account of each row, in order."""
    found = re.findall(r'<tr id="m-([^"]+)"', shown(client, address, **headers))
    return [":".join(each.split(":")[:2]) for each in found]


def named(page: str) -> list[str]:
    return re.findall(r'type="hidden" name="matter" value="([^"]+)"', page)


ADDRESSES = ("/security/", "/security/csv/", "/security/lift/?matter=lock:AG001", "/security/AG001/")


class TestWho:
    @pytest.mark.parametrize("who", ["agent_client", "supervisor_client"])
    def test_only_admins_see_it_or_act_on_it(self, who: str, request: pytest.FixtureRequest, store: Redis) -> None:
        client: Client = request.getfixturevalue(who)
        fail("AG003", 1)
        for address in ADDRESSES:
            assert client.get(address).status_code == 403
        order = {"matter": "failures:AG003", "confirmed": "1"}
        assert client.post("/security/lift/", order).status_code == 403
        assert store.exists(keys.failed_logins("AG003"))
        assert b'href="/security/"' not in client.get("/metrics/").content

    def test_strangers_are_sent_to_sign_in(self, anonymous_client: Client) -> None:
        for address in ADDRESSES:
            assert anonymous_client.get(address)["Location"].startswith("/login/")
        assert anonymous_client.post("/security/lift/")["Location"].startswith("/login/")


class TestListing:
    def test_shows_customers_and_staff_alike_the_next_to_end_first(self, admin_client: Client, standing: None) -> None:
        assert rows(admin_client) == [
            "failures:CUST001", "code:AG002", "code:CUST001", "lock:AG001", "reset:CUST001", "failures:AG001",
        ]  # fmt: skip

    def test_a_lock_tells_level_cause_and_what_comes_next(self, admin_client: Client, standing: None) -> None:
        page = shown(admin_client, "/security/?kind=lock")
        for words in ("Level 1", "3 failed sign-ins", "at 5: an hour"):
            assert words in page
        assert "at 3: 15 minutes" in shown(admin_client, "/security/?kind=failures&account=CUST001")

    def test_the_last_rung_says_that_it_repeats(self, admin_client: Client, store: Redis) -> None:
        store.set(keys.lockout("CUST009", "level3"), "12_attempts", ex=900)
        store.set(keys.lockout("CUST008", "level3"), "<b>fraud suspected</b>", ex=800)
        security.refresh(store, ["lock:CUST009", "lock:CUST008"])
        page = shown(admin_client)
        assert "each further one: a day" in page
        assert "&lt;b&gt;fraud suspected" in page

    def test_codes_and_tokens_are_masked_on_page_and_file(self, admin_client: Client, standing: None) -> None:
        page = shown(admin_client)
        file = b"".join(admin_client.get("/security/csv/")).decode()  # type: ignore[arg-type]
        asked = shown(admin_client, "/security/lift/?all=1")
        account = shown(admin_client, "/security/CUST001/")
        for text in (page, file, asked, account):
            for secret in ("code789", "123456", "token123"):
                assert secret not in text
        assert "Issued" in page and "2024-08-18T05:30:00-05:00" in file

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("kind=lock", ["lock:AG001"]),
            ("kind=code", ["code:AG002", "code:CUST001"]),
            ("account=CUST001", ["failures:CUST001", "code:CUST001", "reset:CUST001"]),
            ("account=ag001", ["lock:AG001", "failures:AG001"]),
            ("kind=reset&account=AG001", []),
            ("kind=nonsense&account=%00&at=nonsense", 6),
        ],
    )
    def test_filters_are_in_the_address(
        self, admin_client: Client, standing: None, query: str, found: list[str] | int
    ) -> None:
        listed = rows(admin_client, f"/security/?{query}")
        assert (len(listed) if isinstance(found, int) else listed) == found

    def test_chips_count_what_they_lead_to(self, admin_client: Client, standing: None) -> None:
        def counts(address: str) -> list[str]:
            return re.findall(r'<span class="n">(\d+)</span>', shown(admin_client, address))

        assert counts("/security/") == ["6", "1", "2", "2", "1"]
        assert counts("/security/?account=CUST001") == ["3", "0", "1", "1", "1"]

    def test_is_paged(self, admin_client: Client, store: Redis) -> None:
        for number in range(60):
            fail(f"CUST{number:03}", 1)
        first = rows(admin_client)
        (later,) = set(re.findall(r'rel="next" href="([^"]+)"', shown(admin_client)))
        second = rows(admin_client, later.replace("&amp;", "&"))
        assert (len(first), len(second), len({*first, *second})) == (50, 10, 60)

    def test_the_command_count_does_not_grow_with_the_rows(self, admin_client: Client, store: Redis) -> None:
        def trips() -> int:
            before = store.info("stats")["total_reads_processed"]
            shown(admin_client)
            return store.info("stats")["total_reads_processed"] - before

        fail("CUST001", 3)
        few = trips()
        for number in range(40):
            fail(f"CUST1{number:02}", 3)
        assert trips() <= few + 1

    def test_a_live_update_brings_the_regions_alone(self, admin_client: Client, standing: None) -> None:
        assert "<html" not in shown(admin_client, **HTMX)
        assert len(rows(admin_client, **HTMX)) == 6

    def test_what_another_tool_wrote_breaks_nothing(self, admin_client: Client, store: Redis) -> None:
        store.rpush(keys.lockout("CUST001", "level3"), "x")
        store.set(keys.failed_logins("CUST001"), "<script>alert(1)</script>")
        store.set(keys.password_reset("CUST001", "t"), b"\xff|issued:\x00|issued:<script>alert(1)")
        store.hset(keys.two_factor("CUST001", "c"), "a", "b")
        security.refresh(store, ["lock:CUST001", "failures:CUST001", "reset:CUST001:t", "code:CUST001:c"])
        for address in ("/security/", "/security/CUST001/", "/security/lift/?all=1"):
            assert "<script>alert" not in shown(admin_client, address)
        assert len(rows(admin_client)) == 4
        b"".join(admin_client.get("/security/csv/"))  # type: ignore[arg-type]


class TestCsv:
    def test_holds_the_whole_filter_beyond_the_page(self, admin_client: Client, store: Redis) -> None:
        for number in range(60):
            fail(f"CUST{number:03}", 1)
        fail("AG001", 3)
        response = admin_client.get("/security/csv/?kind=failures")
        found = list(csv.DictReader(io.StringIO(b"".join(response).decode())))  # type: ignore[arg-type]
        assert [row["Account"] for row in found] == [*(f"CUST{number:03}" for number in range(60)), "AG001"]
        assert (found[0]["Failures"], found[0]["Next level at"]) == ("1", "3")
        assert datetime.fromisoformat(found[0]["Ends"]) > clock.now()
        assert 'href="/security/csv/?kind=failures"' in shown(admin_client, "/security/?kind=failures")


class TestLifting:
    def test_one_is_unlocked_at_once_and_on_record(self, admin_client: Client, store: Redis, standing: None) -> None:
        order = {"matter": "lock:AG001", "next": "/security/?kind=lock"}
        response = admin_client.post("/security/lift/", order, follow=True)
        assert response.redirect_chain == [("/security/?kind=lock", 302)]
        assert b"Sign-in is open for AG001" in response.content
        assert cast.signed_in("AG001").get("/metrics/").status_code == 200
        (record,) = audit.search(store, audit.Search(who="ADM001", kind="security", words="opened")).records
        assert record.text == "Sign-in opened again by ADM001"

    def test_one_that_is_over_already_says_so(self, admin_client: Client) -> None:
        response = admin_client.post("/security/lift/", {"matter": "lock:AG001"}, follow=True)
        assert b"1 was over already." in response.content

    def test_nothing_chosen_says_so(self, admin_client: Client) -> None:
        assert b"Nothing was chosen." in admin_client.post("/security/lift/", follow=True).content

    def test_looking_lifts_nothing(self, admin_client: Client, standing: None) -> None:
        asked = shown(admin_client, "/security/lift/?matter=lock:AG001&matter=failures:CUST001")
        assert named(asked) == ["lock:AG001", "failures:AG001", "failures:CUST001"], "what goes with it is named, too"
        assert "Lift these 3?" in asked
        assert len(rows(admin_client)) == 6

    def test_several_without_the_answer_lead_to_the_question(self, admin_client: Client, standing: None) -> None:
        order = {"matter": ["lock:AG001", "failures:CUST001"], "next": "/security/"}
        plain = admin_client.post("/security/lift/", order)
        live = admin_client.post("/security/lift/", order, headers={"HX-Request": "true"})
        assert plain["Location"] == live["HX-Redirect"]
        assert len(named(shown(admin_client, plain["Location"]))) == 3
        assert len(rows(admin_client)) == 6

    def test_the_answer_lifts_exactly_what_the_page_named(
        self, admin_client: Client, store: Redis, standing: None
    ) -> None:
        chosen = named(shown(admin_client, "/security/lift/?all=1&account=CUST001"))
        assert [each.split(":")[0] for each in chosen] == ["failures", "code", "reset"]
        store.set(keys.two_factor("CUST001", "later"), "654321", ex=300)
        security.refresh(store, ["code:CUST001:later"])
        response = admin_client.post("/security/lift/", {"matter": chosen, "confirmed": "1"}, follow=True)
        assert b"2 codes or tokens taken back." in response.content
        assert store.get(keys.two_factor("CUST001", "later")) == "654321"
        assert rows(admin_client) == ["code:AG002", "code:CUST001", "lock:AG001", "failures:AG001"]

    def test_sent_twice_it_is_done_once(self, admin_client: Client, standing: None) -> None:
        order = {"matter": "lock:AG001", "token": "the-same"}
        admin_client.post("/security/lift/", order)
        fail("AG001", 3)
        response = admin_client.post("/security/lift/", order, follow=True)
        assert b"Sign-in is open for AG001" in response.content
        assert "lock:AG001" in rows(admin_client), "the one that began since stands"

    def test_more_than_a_page_names_are_bulk_work_after_a_preview(
        self, admin_client: Client, store: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(page, "MOST_AT_ONCE", 4)
        for number in range(6):
            fail(f"CUST{number:03}", 3)
        fail("AG001", 1)
        assert "More than 4 fit" in shown(admin_client, "/security/lift/?all=1&kind=lock")
        preview = admin_client.post("/security/lift/", {"all": "1", "kind": "lock"})["Location"]
        assert len(rows(admin_client, "/security/?kind=lock")) == 6, "nothing yet"
        admin_client.post(f"{preview}start/")
        while jobs.work_once(store):
            pass
        assert rows(admin_client) == ["failures:AG001"]

    @pytest.mark.parametrize("query", ["", "matter=nonsense", "matter=lock:a*b", "all=1", "matter=" + "x" * 3000])
    def test_nothing_to_lift_says_so(self, admin_client: Client, query: str) -> None:
        assert "Nothing to lift" in shown(admin_client, f"/security/lift/?{query}")


class TestAccount:
    def test_tells_everything_that_befell_it_and_what_stands(self, admin_client: Client, standing: None) -> None:
        admin_client.post("/security/lift/", {"matter": "lock:AG001"})
        fail("AG001", 2)
        cast_out = cast.signed_in("AG002")
        page = shown(admin_client, "/security/AG001/")
        for words in ("Dana Whitfield", "Sign-in opened again by ADM001", "Sign-in closed for 15 minutes", "Dallas"):
            assert words in page
        assert rows(admin_client, "/security/AG001/") == ["failures:AG001"]
        assert "Workstation" in shown(admin_client, "/security/AG002/")
        assert cast_out.get("/metrics/").status_code == 200

    def test_a_customer_has_no_profile_but_the_rest(self, admin_client: Client, store: Redis, standing: None) -> None:
        store.set("session:mobile:CUST001:device123", "iPhone 12|iOS 15.0", ex=7200)
        sessions.refresh(store, ["mobile:CUST001:device123"])
        page = shown(admin_client, "/security/CUST001/")
        assert "iPhone 12" in page
        assert "/staff/CUST001/" not in page
        assert len(rows(admin_client, "/security/CUST001/")) == 3

    def test_it_is_found_however_it_is_written(self, admin_client: Client, standing: None) -> None:
        assert rows(admin_client, "/security/ag001/") == ["lock:AG001", "failures:AG001"]

    def test_nobody_on_file_is_no_error(self, admin_client: Client) -> None:
        assert "Neither a staff account nor a customer on file" in shown(admin_client, "/security/NOBODY/")

    @pytest.mark.parametrize("account", ["a%20b", "a:b", "%00", "a*", "x" * 65])
    def test_what_is_no_account_is_not_there(self, admin_client: Client, account: str) -> None:
        assert admin_client.get(f"/security/{account}/").status_code == 404

    def test_the_sessions_page_leads_to_what_is_locked(self, admin_client: Client, standing: None) -> None:
        assert '<a href="/security/?kind=lock">1 locked out</a>' in shown(admin_client, "/sessions/")
        assert "lock:AG001" in shown(admin_client, "/")
