"""Compliance: records by who, what, whom and when, their files, looks, payments, reviews, holds, retention, the chain."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from html import unescape
from urllib.parse import quote

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import areas, audit, chain, claims, dossier, holds, payments, reviews, verification
from dashboard.repository.audit import Search
from tests import book, cast

PAGES = (
    "/compliance/", "/compliance/access/", "/compliance/access/?customer=CUST001", "/compliance/payments/",
    "/compliance/reviews/", "/compliance/reviews/?stage=escalated", "/compliance/reviews/?stage=lapsed",
    "/compliance/reviews/?stage=decided", "/compliance/holds/", "/compliance/retention/",
)  # fmt: skip
FILES = ("/compliance/csv/", "/compliance/jsonl/", "/compliance/payments/csv/")
FORMS = ("/compliance/payments/new/", "/compliance/reviews/new/")


@pytest.fixture
def policy(demo: None, store: Redis) -> str:
    """A policy of CUST001 by AG001, with its audit record."""
    store.set("customer:CUST001:profile", "John Smith|DOB:1985-03-15")
    return f"auto:{book.policy()}"


def shown(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, response.content.decode()[:2000]
    return unescape(response.content.decode().replace("<wbr>", ""))


def sent(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]


def records(store: Redis, words: str = "") -> list[str]:
    return [record.text for record in audit.search(store, Search(words=words)).records]


class TestWho:
    @pytest.mark.parametrize("path", [*PAGES, *FILES, *FORMS, "/compliance/holds/new/"])
    def test_no_agent_sees_any_of_it(self, agent_client: Client, policy: str, path: str) -> None:
        shown(agent_client, path, 403)

    @pytest.mark.parametrize("path", PAGES)
    def test_supervisors_and_admins_see_all_of_it(
        self, supervisor_client: Client, admin_client: Client, policy: str, path: str
    ) -> None:
        for client in (supervisor_client, admin_client):
            shown(client, path)
            assert client.get(path, headers={"HX-Request": "true"}).status_code == 200

    @pytest.mark.parametrize("path", FORMS)
    def test_what_is_for_supervisors_alone(self, supervisor_client: Client, admin_client: Client, path: str) -> None:
        shown(supervisor_client, path)
        shown(admin_client, path, 403)

    def test_the_navigation_leads_there(self, supervisor_client: Client, agent_client: Client) -> None:
        assert 'href="/compliance/"' in shown(supervisor_client, "/")
        assert 'href="/compliance/"' not in shown(agent_client, "/")


class TestRecords:
    def test_before_and_after_by_whom_and_where(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        key = keys.policy_audit("auto", "100001", "20240818")
        store.set(key, "Premium updated from 1200 to 1350 by AG001", ex=999)
        audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        page = shown(supervisor_client, "/compliance/?about=auto:100001")
        for part in ("<del>1200</del>", "<ins>1350</ins>", "/policies/auto/100001/", "?about=auto%3A100001&who=AG001"):
            assert part in page, part
        assert policy not in page.replace("auto:100001", "")

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", True), ("who=AG001", True), ("who=AG009", False), ("kind=policy", True), ("kind=claim", False),
            ("about={policy}", True), ("q=nowhere", False), ("q=by ag001", True), ("from=2099-01-01", False), ("to=2001-01-01", False),
            ("from=2001-01-01&to=2099-01-01", True),
        ],
    )  # fmt: skip
    def test_each_filter(self, supervisor_client: Client, policy: str, query: str, found: bool) -> None:
        page = shown(supervisor_client, "/compliance/?" + query.format(policy=policy))
        assert (f'id="r-audit:policy:{policy}:' in page) == found

    @pytest.mark.parametrize(
        "query",
        ["who=%00", "about=%ff", "about=" + "a:" * 300, "from=x&to=9999-99-99", "from=0001-01-01", "before=x",
         "before=" + "9" * 15, "kind=%27", "q=" + "x" * 900, "to=9999-12-31"],
    )  # fmt: skip
    def test_a_bad_parameter_is_clamped(self, supervisor_client: Client, policy: str, query: str) -> None:
        shown(supervisor_client, f"/compliance/?{query}")
        sent(supervisor_client, f"/compliance/csv/?{query}")

    def test_pages_by_moment(
        self, supervisor_client: Client, store: Redis, policy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dashboard.views.compliance.SIZE", 1)
        dossier.create({"name": "Ana Ruiz", "phone": "9"}, by="AG001")
        first = shown(supervisor_client, "/compliance/?who=AG001")
        assert first.count('id="r-audit:') == 1
        older = first.split('rel="next" href="')[1].split('"')[0]
        assert "who=AG001" in older and "before=" in older
        assert 'id="r-audit:' in shown(supervisor_client, older)

    def test_trap_29_what_is_secret_is_masked_on_the_page_and_in_the_files(
        self, supervisor_client: Client, store: Redis, demo: None
    ) -> None:
        key = keys.security_audit("CUST001", "20240818")
        store.set(key, "Sent security:2fa:CUST001:code789 and token: abc123xyz by AG001", ex=999)
        audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        pages = [shown(supervisor_client, "/compliance/?kind=security")]
        pages += [sent(supervisor_client, path) for path in FILES[:2]]
        for page in pages:
            assert "code789" not in page and "abc123xyz" not in page and ("•••" in page or "\\u2022" in page)

    def test_a_csv_holds_the_whole_filter_and_no_formula(
        self, supervisor_client: Client, store: Redis, policy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit, "_LOOKED_AT", 2)
        for number in range(5):
            key = keys.customer_audit("CUST666", f"2024081{number}")
            store.set(key, "=HYPERLINK(1) by AG007", ex=999)
            audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        lines = sent(supervisor_client, "/compliance/csv/?who=AG007").splitlines()
        assert len(lines) == 6 and ",=HYPERLINK" not in "".join(lines)
        # What is empty stays so: nothing was changed, so there is no before and no after.
        assert lines[1].endswith(",'=HYPERLINK(1) by AG007,,,,audit:customer:CUST666:change:20240814")

    def test_json_lines_are_json(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        store.set(key := keys.policy_audit("auto", "1", "20240818"), "Premium updated from 1 to 2 by AG001", ex=999)
        audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        lines = [json.loads(line) for line in sent(supervisor_client, "/compliance/jsonl/?about=auto:1").splitlines()]
        assert lines == [
            {
                "when": "2024-08-18", "kind": "policy", "about": "auto:1", "by": "AG001", "key": key,
                "text": "Premium updated from 1 to 2 by AG001",
                "changes": [{"name": "Premium", "before": "1", "after": "2"}],
            }
        ]  # fmt: skip

    def test_hostile_records_break_no_page(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        for number, (name, write) in enumerate(
            {
                "list": lambda key: store.rpush(key, "x"),
                "script": lambda key: store.set(key, "<script>alert(1)</script> from \u202e to \x00 by <b>"),
                "bytes": lambda key: store.set(key, b"\xff\xfe by AG001"),
                "long": lambda key: store.set(key, "from a to " * 100_000),
            }.items()
        ):
            key = keys.policy_audit("auto", f"{name}", f"2024081{number}")
            write(key)
            audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        assert "<script>alert" not in shown_raw(supervisor_client, "/compliance/")
        for path in (*PAGES, *FILES):
            assert supervisor_client.get(path).status_code == 200

    def test_the_number_of_commands_does_not_grow_with_the_rows(
        self, supervisor_client: Client, store: Redis, policy: str
    ) -> None:
        def commands(path: str) -> int:
            shown(supervisor_client, path)
            before = store.info("stats")["total_commands_processed"]
            shown(supervisor_client, path)
            return int(store.info("stats")["total_commands_processed"]) - int(before)

        def fill(count: int) -> None:
            for _ in range(count):
                payments.record("CUST001", Decimal(10), clock.today(), by="SUP001")
                reviews.begin("auto", book.policy(), "look", by="SUP001")
            areas.refresh(store, "payments", [])
            chain.seal(store)

        paths = ("/compliance/", "/compliance/payments/", "/compliance/reviews/", "/compliance/retention/")
        fill(2)
        few = [commands(path) for path in paths]
        fill(12)
        many = [commands(path) for path in paths]
        # The search of the records reads one value each in one command; retention asks each of a hundred oldest for its end.
        assert many[:2] == few[:2]
        assert many[2] <= few[2] + 3 * 12 and many[3] <= few[3] + 4 * 12


def shown_raw(client: Client, path: str) -> str:
    return client.get(path).content.decode()


class TestAccess:
    def test_whose_looks(self, supervisor_client: Client, agent_client: Client, policy: str) -> None:
        shown(agent_client, "/customers/CUST001/")
        page = shown(supervisor_client, "/compliance/access/?customer=CUST001")
        assert "Who looked at John Smith" in page and "Viewed by AG001" in page

    def test_a_stranger_is_not_found_and_a_bad_number_asks_again(self, supervisor_client: Client, demo: None) -> None:
        shown(supervisor_client, "/compliance/access/?customer=CUST999", 404)
        for bad in ("a%20b", "multi_policy", "%00"):
            assert "Whose looks?" in shown(supervisor_client, f"/compliance/access/?customer={bad}")


PAID = {"customer": "cust001", "amount": "$1,200.50", "day": "", "note": "by cheque", "token": "one"}


class TestPayment:
    URL = "/compliance/payments/new/"

    def paid(self, **changes: str) -> dict[str, str]:
        return {**PAID, "day": clock.today().isoformat(), **changes}

    def test_it_is_on_record_for_seven_years_to_the_day(
        self, supervisor_client: Client, store: Redis, policy: str
    ) -> None:
        response = supervisor_client.post(self.URL, self.paid())
        assert response.status_code == 302 and response["Location"] == "/compliance/payments/?customer=CUST001"
        (name,) = store.keys("audit:payment:*")
        today = clock.today()
        text = f"Customer: CUST001 | Amount: 1200.5 | Date: {today} | Note: by cheque | By: SUP001"
        assert store.get(name) == text
        assert store.pexpiretime(name) == clock.end_of_day(clock.years_later(today, 7))
        assert (store.get("customer:CUST001:last_payment") or "").startswith(f"{clock.now():%Y-%m-%d}T")
        page = shown(supervisor_client, "/compliance/payments/?customer=CUST001")
        assert name.rpartition(":")[2] in page and "$1,200.50" in page
        assert "TXN" in sent(supervisor_client, "/compliance/payments/csv/")
        assert "TXN" in shown(supervisor_client, "/customers/CUST001/")

    def test_the_same_form_twice_is_one_payment(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        for _ in range(2):
            assert supervisor_client.post(self.URL, self.paid()).status_code == 302
        assert len(store.keys("audit:payment:*")) == 1

    def test_looking_at_the_form_records_nothing(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        supervisor_client.get(self.URL, self.paid())
        assert store.keys("audit:payment:*") == []

    @pytest.mark.parametrize("who", [cast.AGENT, cast.ADMIN])
    def test_it_is_for_supervisors(self, store: Redis, policy: str, who: str) -> None:
        assert cast.signed_in(who).post(self.URL, self.paid()).status_code == 403
        assert store.keys("audit:payment:*") == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"customer": "CUST999"}, "There is no customer CUST999."),
            ({"customer": "multi_policy"}, "There is no customer MULTI_POLICY."),
            ({"amount": "0"}, "More than 0"), ({"amount": "x"}, "Give an amount"), ({"amount": "1.234"}, "two digits"),
            ({"day": "2999-01-01"}, "future"), ({"day": ""}, "required"), ({"note": "a | b"}, "No |"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_stands_beside_its_field(
        self, supervisor_client: Client, store: Redis, policy: str, changes: dict[str, str], words: str
    ) -> None:
        response = supervisor_client.post(self.URL, self.paid(**changes))
        assert response.status_code == 200 and words in unescape(response.content.decode())
        assert store.keys("audit:payment:*") == []

    def test_the_filter_by_time(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        today = clock.today()
        for days in (0, 10, 20):
            payments.record("CUST001", Decimal(10 + days), today - timedelta(days=days), by="SUP001")
        since, until = today - timedelta(days=15), today - timedelta(days=5)
        page = shown(supervisor_client, f"/compliance/payments/?from={since}&to={until}")
        assert page.count('<tr id="t-') == 1 and "$20" in page
        for day, shows in ((today, True), (today - timedelta(days=1), False)):
            page = shown(supervisor_client, f"/compliance/payments/?from={day}&to={day}")
            assert ('<tr id="t-' in page) == shows, day

    def test_a_record_of_a_day_is_found_on_that_day(self, supervisor_client: Client, store: Redis, demo: None) -> None:
        """Of a record by another tool no more than the day is known."""
        key = keys.customer_audit("CUST001", "20240818")
        store.set(key, "by AG001", ex=999)
        audit.note(store, key, keys.parse(key))  # type: ignore[arg-type]
        for day, shows in (("2024-08-17", False), ("2024-08-18", True), ("2024-08-19", False)):
            page = shown(supervisor_client, f"/compliance/?from={day}&to={day}")
            assert ("18 Aug 2024" in page) == shows, day


class TestReview:
    NEW = "/compliance/reviews/new/"

    def opened(self, client: Client, policy: str) -> str:
        client.post(self.NEW, {"policy": policy, "reason": "Odd premium", "token": "one"})
        return f"/compliance/reviews/{policy.replace(':', '/')}/"

    def decision(self, store: Redis, policy: str, **changes: str) -> dict[str, str]:
        review = reviews.get(store, *policy.split(":"))
        return {"outcome": "cleared", "note": "All well", "seen": review.seen, "token": "two", **changes}

    def test_from_its_opening_to_its_decision(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        url = self.opened(supervisor_client, policy)
        name = f"compliance:review:policy:{policy}"
        assert (store.get(name) or "").startswith("Pending regulatory review | Reason: Odd premium | Opened: ")
        assert 0 < 30 * clock.DAY - store.pttl(name) < 60_000
        page = shown(supervisor_client, "/compliance/reviews/")
        assert "Odd premium" in page and url in page
        assert supervisor_client.post(url, self.decision(store, policy)).status_code == 302
        assert not store.exists(name)
        assert "All well" in shown(supervisor_client, "/compliance/reviews/?stage=decided")
        assert records(store, "Review decided")[0].startswith("Review decided by SUP001: cleared: All well")
        assert "Odd premium" not in shown(supervisor_client, "/compliance/reviews/")

    def test_sent_twice_it_is_done_once(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        url = self.opened(supervisor_client, policy)
        assert self.opened(supervisor_client, policy) == url
        told = self.decision(store, policy)
        for _ in range(2):
            assert supervisor_client.post(url, told).status_code == 302
        assert len(records(store, "Review opened")) == len(records(store, "Review decided")) == 1

    @pytest.mark.parametrize("who", [cast.AGENT, cast.ADMIN])
    def test_it_is_for_supervisors(self, store: Redis, policy: str, who: str) -> None:
        reviews.begin(*policy.split(":"), "look", by="SUP001")
        client, told = cast.signed_in(who), self.decision(store, policy)
        assert client.post(self.NEW, {"policy": policy, "reason": "x"}).status_code == 403
        assert client.post(f"/compliance/reviews/{policy.replace(':', '/')}/", told).status_code == 403
        assert store.exists(f"compliance:review:policy:{policy}")

    def test_looking_decides_nothing(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        url = self.opened(supervisor_client, policy)
        supervisor_client.get(url, self.decision(store, policy))
        supervisor_client.get(self.NEW, {"policy": policy, "reason": "again"})
        assert store.exists(f"compliance:review:policy:{policy}") and len(records(store, "Review")) == 1

    def test_a_colleague_who_was_faster_is_told_of(self, supervisor_client: Client, store: Redis, policy: str) -> None:
        url = self.opened(supervisor_client, policy)
        told = self.decision(store, policy)
        reviews.decide(*policy.split(":"), "action", "Ask again", seen=told["seen"], by="SUP002")
        response = supervisor_client.post(url, told)
        assert response.status_code == 409 and "SUP002 has decided it already" in response.content.decode()
        assert len(records(store, "Review decided")) == 1

    @pytest.mark.parametrize(
        ("changes", "words"),
        [({"outcome": "x"}, "Select a valid choice"), ({"outcome": "action", "note": ""}, "Say why"),
         ({"note": "a|b"}, "No |")],
    )  # fmt: skip
    def test_what_is_wrong_stands_beside_its_field(
        self, supervisor_client: Client, store: Redis, policy: str, changes: dict[str, str], words: str
    ) -> None:
        url = self.opened(supervisor_client, policy)
        response = supervisor_client.post(url, self.decision(store, policy, **changes))
        assert response.status_code == 200 and words in unescape(response.content.decode())
        assert store.exists(f"compliance:review:policy:{policy}")

    @pytest.mark.parametrize("typed", ["auto:999999", "x", "auto:*", "100001"])
    def test_only_a_policy_on_the_books_is_reviewed(
        self, supervisor_client: Client, store: Redis, policy: str, typed: str
    ) -> None:
        response = supervisor_client.post(self.NEW, {"policy": typed, "reason": "look"})
        assert response.status_code == 200 and store.keys("compliance:*") == []

    def test_a_stranger_is_not_found(self, supervisor_client: Client, demo: None) -> None:
        for path in ("auto/1", "boat/1", "auto/%2A"):
            shown(supervisor_client, f"/compliance/reviews/{path}/", 404)


class TestHold:
    NEW = "/compliance/holds/new/"

    @pytest.fixture
    def record(self, store: Redis, policy: str) -> str:
        (name,) = store.keys("audit:policy:*")
        return str(name)

    def told(self, of: str, kind: str = "record") -> dict[str, str]:
        return {"kind": kind, "of": of, "reason": "Case 12", "token": "one"}

    @pytest.mark.parametrize("kind", ["claim", "quote"])
    def test_a_claim_and_an_ended_quote_lead_to_the_form_filled_in_and_then_say_that_they_are_held(
        self, supervisor_client: Client, agent_client: Client, store: Redis, policy: str, kind: str
    ) -> None:
        if kind == "claim":
            of = claims.report(summary="Hail", policy=policy, estimated_amount=Decimal(900), by="AG001")
            path = f"/claims/{of}/"
        else:
            number = book.quote()
            store.delete(*keys.quote_keys("auto", number))
            of, path = f"auto:{number}", f"/quotes/auto/{number}/"
        link = f"{self.NEW}?kind={kind}&of={quote(of)}"
        assert link in shown(supervisor_client, path)
        form = shown(supervisor_client, link)
        assert f'value="{of}"' in form and f'<option value="{kind}" selected>' in form
        assert "/compliance/" not in shown(agent_client, path)
        holds.place(kind, of, "Case 12", by="SUP001")  # type: ignore[arg-type]
        page = shown(supervisor_client, path)
        assert "Under a legal hold" in page and link not in page

    def test_put_on_listed_and_released(self, supervisor_client: Client, store: Redis, record: str) -> None:
        end = store.pexpiretime(record)
        assert supervisor_client.post(self.NEW, self.told(record)).status_code == 302
        assert store.pttl(record) == -1
        assert "Case 12" in shown(supervisor_client, "/compliance/holds/")
        assert 'data-status="held"' in (page := shown(supervisor_client, "/compliance/")) or "Held" in page
        url = f"/compliance/holds/{holds.hold_id('record', record)}/release/"
        assert record in shown(supervisor_client, url)
        assert supervisor_client.post(url, {"ending": "0", "token": "two"}).status_code == 302
        assert store.pexpiretime(record) == end
        assert "Nothing is held" in shown(supervisor_client, "/compliance/holds/")
        assert [text.split(" by ")[0].split(" ")[-2:] for text in records(store, "Legal hold")] == [
            [record, "released"], ["put", "on"],
        ]  # fmt: skip

    def test_sent_twice_it_is_done_once(self, supervisor_client: Client, store: Redis, record: str) -> None:
        for _ in range(2):
            assert supervisor_client.post(self.NEW, self.told(record)).status_code == 302
        url = f"/compliance/holds/{holds.hold_id('record', record)}/release/"
        supervisor_client.post(url, {"ending": "0", "token": "two"})
        assert len(records(store, "Legal hold")) == 2

    def test_looking_holds_and_releases_nothing(self, supervisor_client: Client, store: Redis, record: str) -> None:
        supervisor_client.get(self.NEW, self.told(record))
        assert store.pttl(record) > 0
        holds.place("record", record, "Case 12", by="SUP001")
        supervisor_client.get(f"/compliance/holds/{holds.hold_id('record', record)}/release/", {"ending": "0"})
        assert store.pttl(record) == -1

    def test_who_puts_on_and_who_releases(self, store: Redis, record: str) -> None:
        url = f"/compliance/holds/{holds.hold_id('record', record)}/release/"
        assert cast.signed_in(cast.AGENT).post(self.NEW, self.told(record)).status_code == 403
        admin = cast.signed_in(cast.ADMIN)
        assert admin.post(self.NEW, self.told(record)).status_code == 302
        assert admin.post(url, {"ending": "0"}).status_code == 403
        assert cast.signed_in(cast.AGENT).post(url, {"ending": "0"}).status_code == 403
        assert store.pttl(record) == -1

    def test_what_has_passed_its_time_ends_only_when_that_is_confirmed(
        self, supervisor_client: Client, store: Redis, record: str
    ) -> None:
        store.pexpire(record, 1_000)
        holds.place("record", record, "Case 12", by="SUP001")
        store.hset(keys.held(), record, f"{clock.now_ms() - 5} {holds.hold_id('record', record)}")
        url = f"/compliance/holds/{holds.hold_id('record', record)}/release/"
        assert "The time of 1 has passed" in shown(supervisor_client, url)
        response = supervisor_client.post(url, {"ending": "1", "token": "two"})
        assert store.exists(record), "it was not confirmed"
        assert response.status_code in (200, 409)
        assert supervisor_client.post(url, {"ending": "1", "confirmed": "on", "token": "three"}).status_code == 302
        assert not store.exists(record)

    @pytest.mark.parametrize(
        ("kind", "of"),
        [("record", "policy:auto:100001:status"), ("record", "audit:policy:auto:1:change:20240818"), ("claim", "CLM9"),
         ("claim", "*"), ("quote", "Q001"), ("review", "auto:1:2"), ("record", "\x00"), ("quote", "auto:" + "x" * 99)],
    )  # fmt: skip
    def test_what_is_not_there_cannot_be_held(
        self, supervisor_client: Client, store: Redis, record: str, kind: str, of: str
    ) -> None:
        assert supervisor_client.post(self.NEW, self.told(of, kind)).status_code == 200
        assert store.keys("dash:hold:*") == []

    def test_a_stranger_is_not_found(self, supervisor_client: Client, demo: None) -> None:
        for hold in ("x", "*", "%00"):
            shown(supervisor_client, f"/compliance/holds/{hold}/release/", 404)


class TestChain:
    URL = "/compliance/verify/"

    def test_asked_for_shown_and_the_first_broken_link_named(
        self, supervisor_client: Client, store: Redis, policy: str
    ) -> None:
        while chain.seal(store):
            pass
        assert supervisor_client.post(self.URL, {"token": "one"}).status_code == 302
        assert "It waits for the live follower" in shown(supervisor_client, "/compliance/retention/")
        verification.run_if_asked(store)
        page = shown(supervisor_client, "/compliance/retention/")
        assert "Holds" in page and "by SUP001" in page
        (name,) = store.keys("audit:policy:*")
        store.set(name, "nothing happened", keepttl=True)
        supervisor_client.post(self.URL, {"token": "two"})
        verification.run_if_asked(store)
        page = shown(supervisor_client, "/compliance/retention/")
        assert "does not hold: the record was altered" in page and name in page

    def test_two_who_ask_have_one_look(self, supervisor_client: Client, admin_client: Client, store: Redis) -> None:
        supervisor_client.post(self.URL, {"token": "one"})
        admin_client.post(self.URL, {"token": "one"})
        assert "SUP001 asked for it" in shown(admin_client, "/compliance/retention/")

    def test_who_may_ask(self, agent_client: Client, supervisor_client: Client, store: Redis) -> None:
        assert agent_client.post(self.URL).status_code == 403
        assert supervisor_client.get(self.URL).status_code == 405
        assert not store.exists(keys.verification())

    def test_the_table_has_every_family_of_records(self, supervisor_client: Client, policy: str) -> None:
        page = shown(supervisor_client, "/compliance/retention/")
        for family in audit.FAMILIES:
            assert family.pattern in page
        for words in ("90 days", "1 year", "7 years", "30 days", "for good"):
            assert words in page, words

    @pytest.mark.parametrize("stored", ["x", "[]", '{"by": 1, "ended": "x"}', "[" * 5_000, '{"ended": 1e400}'])
    def test_what_another_tool_wrote_there_breaks_nothing(
        self, supervisor_client: Client, store: Redis, stored: str
    ) -> None:
        store.hset(keys.verification(), mapping={"run": stored, "last": stored})
        shown(supervisor_client, "/compliance/retention/")
        store.delete(keys.verification())
        store.set(keys.verification(), "x")
        shown(supervisor_client, "/compliance/retention/")
        assert supervisor_client.post(self.URL, {"token": "one"}).status_code == 302
