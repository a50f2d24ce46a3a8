"""The key space, for admins: its tree, a family, one key, and changing one: asked first, done to what was seen, once."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import census, families, key_change
from dashboard.views.keyspace import address_of

NAME = "session:mobile:CUST001:d1"
PORTAL = ("session:customer:CUST001:portal", "session:customer:CUST001:device")
PAGES = (
    "/keys/",
    "/keys/?all=1",
    "/keys/family/quote/",
    "/keys/family/unknown/?lasting=1",
    "/keys/lint/",
    "/keys/batch/",
)


@pytest.fixture
def some(store: Redis) -> Redis:
    store.set(NAME, "iPhone 12", ex=1_200)
    for name in PORTAL:
        store.set(name, "x", ex=1_200)
    return store


def body(client: Client, address: str, status: int = 200, **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == status, response.content.decode()
    return response.content.decode()


def asked(client: Client, **params: str) -> dict[str, str]:
    """What the page that asks would send."""
    page = body(client, f"/keys/change/?{urlencode(params)}")
    form = page[page.index('action="/keys/change/"') :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


class TestWho:
    @pytest.mark.parametrize("who", ["agent_client", "supervisor_client"])
    def test_only_admins_see_it_or_act_on_it(self, who: str, request: pytest.FixtureRequest, some: Redis) -> None:
        client: Client = request.getfixturevalue(who)
        for address in (*PAGES, address_of(NAME), f"/keys/find/?name={NAME}", f"/keys/change/?key={NAME}&verb=delete"):
            assert client.get(address).status_code == 403, address
        seen = key_change.plan(some, NAME, "delete").seen
        order = {"key": NAME, "verb": "delete", "seen": seen}
        for address in ("/keys/change/", "/keys/count/", "/keys/lint/fix/", "/keys/batch/", "/keys/batch/cleanup/"):
            assert client.post(address, order).status_code == 403, address
        assert some.exists(NAME) and not some.exists(keys.census("now"))
        assert b'href="/keys/"' not in client.get("/metrics/").content

    def test_strangers_are_sent_to_sign_in(self, anonymous_client: Client) -> None:
        for address in (*PAGES, address_of(NAME)):
            assert anonymous_client.get(address)["Location"].startswith("/login/")

    def test_the_navigation_leads_there(self, admin_client: Client) -> None:
        assert 'href="/keys/"' in body(admin_client, "/keys/")

    @pytest.mark.parametrize("address", ["/keys/count/", "/keys/lint/fix/", "/keys/batch/cleanup/"])
    def test_verbs_take_a_form_not_a_link(self, admin_client: Client, address: str) -> None:
        assert admin_client.get(address).status_code == 405


class TestTree:
    def test_before_anything_was_counted_says_so(self, admin_client: Client) -> None:
        for address in PAGES:
            body(admin_client, address)
        assert "Nothing was counted yet" in body(admin_client, "/keys/")

    def test_shows_each_family_with_count_memory_and_rule(self, admin_client: Client, some: Redis) -> None:
        some.set("nobody:knows", "x")
        census.take(some, rest=0)
        page = body(admin_client, "/keys/")
        row = page[page.index('id="k-device_session"') :].partition("</tr>")[0]
        assert ">1<" in row and "0%" in row and "2 h" in row and "bytes" in row
        assert "Unknown names" in page and 'id="k-claim_temp"' not in page
        assert 'id="k-claim_temp"' in body(admin_client, "/keys/?all=1")

    def test_asks_the_store_no_more_where_there_are_more_keys(
        self, admin_client: Client, some: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And never for all of them: no KEYS, no SCAN."""
        some.mset({f"policy:auto:{number}:premium": "1" for number in range(2_000)})
        census.take(some, rest=0)
        counts = []
        for _ in range(2):
            before = some.info("commandstats")
            for address in (*PAGES, address_of(NAME)):
                body(admin_client, address)
            after = some.info("commandstats")
            ran = {name: told["calls"] - before.get(name, {"calls": 0})["calls"] for name, told in after.items()}
            assert not any(ran.get(f"cmdstat_{command}") for command in ("keys", "scan"))
            counts.append(sum(ran.values()))
            some.mset({f"policy:auto:{number}:premium": "1" for number in range(2_000, 6_000)})
            census.take(some, rest=0)
        assert abs(counts[1] - counts[0]) < 50

    def test_is_counted_anew_on_demand_once(self, admin_client: Client, store: Redis) -> None:
        order = {"token": "the-same", "next": "/keys/"}
        assert b"being counted" in admin_client.post("/keys/count/", order, follow=True).content
        admin_client.post("/keys/count/", order)
        assert store.hget(keys.census("now"), "by") == "ADM001"
        page = admin_client.post("/keys/count/", {"token": "another", "next": "/keys/"}, follow=True).content
        assert b"being counted already" in page
        assert "about to be counted" in body(admin_client, "/keys/", **{"HX-Request": "true", "HX-Trigger": "main"})


class TestFamily:
    def test_lists_what_was_met_with_time_left_and_memory(self, admin_client: Client, some: Redis) -> None:
        census.take(some, rest=0)
        some.set("session:mobile:CUST002:late", "x", ex=60)
        page = body(admin_client, "/keys/family/device_session/")
        assert "d1" in page and "late" not in page and "data-deadline" in page

    def test_is_paged_and_filtered(self, admin_client: Client, some: Redis) -> None:
        some.mset({f"test:{number:03}": "x" for number in range(60)})
        some.set("test:ends", "x", ex=600)
        census.take(some, rest=0)
        first = body(admin_client, "/keys/family/unknown/")
        assert "1–50 of 61" in first and "at=50" in first
        assert "51–61 of 61" in body(admin_client, "/keys/family/unknown/?at=50")
        assert "test:<wbr>ends" in first + body(admin_client, "/keys/family/unknown/?at=50")
        assert "of 60" in body(admin_client, "/keys/family/unknown/?lasting=1")

    def test_what_is_gone_since_is_left_out(self, admin_client: Client, some: Redis) -> None:
        census.take(some, rest=0)
        some.delete(NAME)
        assert "No key to show" in body(admin_client, "/keys/family/device_session/")

    def test_a_family_that_there_is_not_is_not_found(self, admin_client: Client) -> None:
        body(admin_client, "/keys/family/nonsense/", 404)

    def test_names_that_are_secrets_are_masked_and_lead_nowhere(self, admin_client: Client, some: Redis) -> None:
        some.set("security:2fa:CUST001:code789", "x", ex=300)
        census.take(some, rest=0)
        page = body(admin_client, "/keys/family/two_factor/")
        assert "•••" in page and "code789" not in page
        assert "code789" not in body(admin_client, "/keys/family/web_session/") + body(admin_client, "/keys/lint/")


class TestKey:
    def test_is_found_by_its_exact_name(self, admin_client: Client, some: Redis) -> None:
        page = admin_client.get("/keys/find/", {"name": f" {NAME} "}, follow=True)
        assert page.redirect_chain == [(address_of(NAME), 302)]
        text = page.content.decode()
        assert "iPhone 12" in text and "Sessions of CUST001" in text and "2 h" in text and "data-deadline" in text

    def test_one_that_is_not_there_is_not_found(self, admin_client: Client) -> None:
        body(admin_client, address_of("no:such"), 404)
        body(admin_client, "/keys/key/", 404)
        body(admin_client, "/keys/key/?key=" + "x" * 2_000, 404)

    def test_what_it_breaks_is_said(self, admin_client: Client, some: Redis) -> None:
        some.set("quote:auto:Q010:risk_level", "HIGH")
        assert "Parts without their root" in body(admin_client, address_of("quote:auto:Q010:risk_level"))

    @pytest.mark.parametrize(
        "name",
        [
            b"\xff\xfe",
            "a b",
            "<script>alert(1)</script>",
            "test:%41",
            "x\r\ny",
            "\u202eevil",
            "a\x00b",
            "é" * 200,
            "test:&key=other",
        ],
    )
    def test_a_hostile_name_and_value_are_shown_and_changed_like_any(
        self, admin_client: Client, some: Redis, name: str | bytes
    ) -> None:
        some.set(name, b"<script>alert(1)</script>\xff\x00\xe2\x80\xae")
        before = set(some.scan_iter())
        (text,) = [each for each in before if families.name_of(keys.parse(each)) == "unknown"]
        census.take(some, rest=0)
        for address in (address_of(text), "/keys/family/unknown/", "/keys/lint/", "/keys/"):
            page = body(admin_client, address)
            assert "<script>alert" not in page and "\u202e" not in page
        order = asked(admin_client, key=families.quoted(text), verb="delete")
        admin_client.post("/keys/change/", order)
        assert not some.exists(text)

    def test_no_value_breaks_the_page_whatever_it_is(self, admin_client: Client, some: Redis) -> None:
        some.hset("test:hash", mapping={"f" * 9_000: b"\xff" * 1_000_000, "<b>": "=cmd()"})
        some.xadd("test:stream", {"a": "b"})
        some.zadd("test:zset", {"m": float("inf")})
        some.set("test:long", "x" * 1_000_000)
        for name in ("hash", "stream", "zset", "long"):
            page = body(admin_client, address_of(f"test:{name}"))
            assert len(page) < 60_000
        for at in ("-1", "x", "9" * 19, "50"):
            body(admin_client, f"{address_of('test:zset')}&at={at}")
            body(admin_client, f"{address_of('test:hash')}&at={at}")

    def test_the_secret_of_a_session_is_not_on_its_page(self, admin_client: Client, some: Redis) -> None:
        reference = some.get(keys.workstation("ADM001")).rpartition("ref:")[2]
        page = body(admin_client, address_of(keys.workstation("ADM001")))
        assert reference not in page and "ref:•••" in page

    def test_a_key_of_every_family_has_its_page(self, admin_client: Client, some: Redis) -> None:
        forms = {
            "product": "auto", "date": "2024-08-18", "week": "2024-W33", "month": "2024-08", "quarter": "2024-Q3",
            "stamp": "20240818", "device": "mobile", "level": "level1", "risk": "high", "metric": "revenue",
            "span": "2024-08", "form": "portal", "record": "20240818T103000123-9f86d081",
        }  # fmt: skip
        for family in keys.CATALOGUE.values():
            parts = [
                family.fields[0] if slot == "field" and family.fields else forms.get(slot, "X1")
                for slot in family.slots
            ]
            name = family(*parts)
            some.delete(name)
            write(some, family.kind, name)
            assert 'id="detail"' in body(admin_client, address_of(name)), name


def write(store: Redis, kind: str, name: str) -> None:
    if kind == "string":
        store.set(name, "x")
    elif kind == "hash":
        store.hset(name, "f", "v")
    elif kind == "set":
        store.sadd(name, "m")
    elif kind == "zset":
        store.zadd(name, {"m": 1})
    else:
        store.rpush(name, "e")


class TestChanging:
    def test_what_would_happen_is_said_and_nothing_is_done(self, admin_client: Client, some: Redis) -> None:
        page = body(admin_client, f"/keys/change/?key={PORTAL[1]}&verb=until&amount=2&unit=hours")
        assert "splits the thing" in page and "Do it to the whole thing instead" in page and "stays on record" in page
        assert some.ttl(PORTAL[1]) <= 1_200

    def test_confirmed_it_is_done_and_told(self, admin_client: Client, some: Redis) -> None:
        order = asked(admin_client, key=PORTAL[1], verb="until", amount="30", unit="minutes", whole="1")
        page = admin_client.post("/keys/change/", order, follow=True)
        assert b"lifetime changed from" in page.content
        assert some.pexpiretime(PORTAL[0]) == some.pexpiretime(PORTAL[1]) == int(order["deadline"])
        admin_client.post("/keys/change/", asked(admin_client, key=NAME, verb="persist"))
        assert some.ttl(NAME) == -1
        gone = admin_client.post("/keys/change/", asked(admin_client, key=NAME, verb="delete"), follow=True)
        assert gone.redirect_chain[0][0] == "/keys/family/device_session/" and b"deleted" in gone.content

    def test_sent_twice_it_is_done_once(self, admin_client: Client, some: Redis) -> None:
        order = asked(admin_client, key=NAME, verb="delete")
        admin_client.post("/keys/change/", order)
        some.set(NAME, "iPhone 12", ex=1_200)
        assert b"deleted" in admin_client.post("/keys/change/", order, follow=True).content
        assert some.exists(NAME)

    @pytest.mark.parametrize("change", ["value", "end"])
    def test_what_changed_between_the_question_and_the_answer_is_left_alone(
        self, admin_client: Client, some: Redis, change: str
    ) -> None:
        order = asked(admin_client, key=NAME, verb="delete")
        some.set(NAME, "iPad", keepttl=True) if change == "value" else some.expire(NAME, 7_000)
        page = admin_client.post("/keys/change/", order, follow=True)
        assert b"has changed since you looked" in page.content and some.exists(NAME)

    def test_a_question_about_what_is_gone_says_so(self, admin_client: Client, some: Redis) -> None:
        order = asked(admin_client, key=NAME, verb="delete")
        some.delete(NAME)
        body(admin_client, f"/keys/change/?key={NAME}&verb=delete", 410)
        assert admin_client.post("/keys/change/", order).status_code == 302

    @pytest.mark.parametrize(
        ("name", "verb", "words"),
        [
            ("audit:policy:auto:100001:change:20240818", "delete", "only read here"),
            ("audit:policy:auto:100001:change:20240818", "until", "only read here"),
            ("audit:policy:auto:100001:change:20240818", "persist", "only read here"),
            ("quote:auto:Q001", "until", "A quote is extended whole"),
            ("quote:auto:Q001:premium", "persist", "A quote is extended whole"),
        ],
    )
    def test_what_is_not_done_here_has_no_button_and_is_refused(
        self, admin_client: Client, some: Redis, name: str, verb: str, words: str
    ) -> None:
        for each in (name, "quote:auto:Q001", "quote:auto:Q001:premium"):
            some.set(each, "x", ex=100_000)
        asked_for = {"key": name, "verb": verb, "amount": "1", "unit": "minutes"}
        page = body(admin_client, f"/keys/change/?{urlencode(asked_for)}")
        assert words in page and 'class="btn danger">Delete' not in page and "Set the end</button>" not in page
        seen = key_change.plan(some, name, verb, deadline=clock.now_ms() + 60_000).seen  # type: ignore[arg-type]
        order = {"key": name, "verb": verb, "seen": seen, "deadline": str(clock.now_ms() + 60_000)}
        assert words in admin_client.post("/keys/change/", order, follow=True).content.decode()
        assert some.ttl(name) > 99_000

    def test_a_secrets_name_is_never_on_the_page_that_asks(self, admin_client: Client, some: Redis) -> None:
        some.set("security:2fa:CUST001:code789", "x", ex=300)
        page = body(admin_client, "/keys/change/?key=security:2fa:CUST001:code789&verb=delete", 404)
        assert "code789" not in page.replace("/keys/change/?key=security:2fa:CUST001:code789", "")

    @pytest.mark.parametrize(
        "query", ["", "verb=drop", "verb=until", "verb=until&amount=x&unit=days", "verb=until&amount=1"]
    )
    def test_a_question_that_is_none_breaks_nothing(self, admin_client: Client, some: Redis, query: str) -> None:
        response = admin_client.get(f"/keys/change/?key={NAME}&{query}")
        assert response.status_code in (200, 400)
        assert admin_client.post(f"/keys/change/?{query}", {"key": NAME}).status_code == 400
        assert some.ttl(NAME) <= 1_200
