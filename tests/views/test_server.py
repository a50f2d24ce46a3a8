"""The server's pages: for admins only; true, live, and without anything personal; measuring and converting by forms."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import jobs, layouts, server
from tests import book

HTMX = {"HX-Request": "true", "HX-Trigger": "main"}
PAGES, VERBS = ("/server/", "/server/memory/"), ("/server/memory/compare/", "/server/memory/convert/")


def take(store: Redis, count: int = 3, lag: int = 62) -> None:
    store.set(keys.lease(server.LEASE), "me", px=5_000)
    for _ in range(count):
        server.take(store, holder="abcdef0123", since=clock.now_ms(), lag=lag, notified=True)


def text(client: Client, address: str = "/server/", **headers: str) -> str:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, answer.content.decode()
    return re.sub(r"\s+", " ", answer.content.decode().replace("<wbr>", ""))


def finish(store: Redis) -> None:
    while jobs.work_once(store):
        pass


class TestWho:
    @pytest.mark.parametrize("who", ["agent_client", "second_agent_client", "supervisor_client"])
    def test_only_admins_see_it_or_act_on_it(self, who: str, request: pytest.FixtureRequest, store: Redis) -> None:
        client: Client = request.getfixturevalue(who)
        number = book.policy()
        for address in PAGES:
            assert client.get(address).status_code == 403
        assert client.post(VERBS[0], {"size": "10", "product": "all"}).status_code == 403
        assert client.post(VERBS[1], {"layout": "hash", "product": "all"}).status_code == 403
        assert not store.exists(keys.layout_comparison(), keys.jobs_running(), keys.policy("auto", number))
        assert b'href="/server/"' not in client.get("/metrics/").content

    def test_an_admin_finds_it_in_the_navigation(self, admin_client: Client) -> None:
        assert b'href="/server/"' in admin_client.get("/metrics/").content

    def test_strangers_are_sent_to_sign_in(self, anonymous_client: Client) -> None:
        for address in (*PAGES, *VERBS):
            assert anonymous_client.post(address)["Location"].startswith("/login/")

    @pytest.mark.parametrize("address", VERBS)
    def test_a_verb_is_not_read(self, admin_client: Client, address: str) -> None:
        assert admin_client.get(address).status_code == 405


class TestServer:
    def test_says_what_it_is_and_how_it_does(self, admin_client: Client, store: Redis) -> None:
        take(store)
        page = text(admin_client)
        for words in ("Valkey 9", "noeviction", "Append-only file", "62 ms", "Held by process abcdef01", "Primary"):
            assert words in page

    def test_a_snapshot_beside_the_append_only_file_is_told(self, admin_client: Client, store: Redis) -> None:
        store.save()
        page = text(admin_client)
        assert "last write ok" in page and "last save" in page

    def test_each_figure_is_a_picture_and_a_column_of_the_table(self, admin_client: Client, store: Redis) -> None:
        for before in (3, 2, 1, 0):
            facts = dict.fromkeys(server.Sample.__dataclass_fields__, 7)
            store.rpush(keys.server_samples(), json.dumps(facts | {"at": clock.now_ms() - before * server.EVERY}))
        page = text(admin_client)
        titles = ("Memory used", "Operations a second", "Hit rate", "Clients", "Follower’s lag", "Fragmentation")
        for title in titles:
            assert f'aria-label="{title}, the last 5 minutes"' in page
            assert f'<th scope="col" class="num">{title}</th>' in page
        assert len(re.findall(r'<tr id="t-', page)) == 4

    def test_a_live_update_brings_the_regions_alone(self, admin_client: Client, store: Redis) -> None:
        take(store)
        page = text(admin_client, **HTMX)
        assert "<html" not in page and 'id="course"' in page
        assert 'data-areas="server"' in text(admin_client)

    def test_what_is_wrong_is_said_with_its_remedy(self, admin_client: Client, store: Redis) -> None:
        take(store)
        store.config_set("appendfsync", "always")
        store.config_set("slowlog-log-slower-than", "-1")  # how fast this machine is at the moment is not the point
        store.slowlog_reset()
        try:
            assert "Nothing is wrong" in text(admin_client)
            store.config_set("maxmemory-policy", "volatile-lru")
            page = text(admin_client)
            assert "audit records among the first" in page and "Set maxmemory-policy to noeviction." in page
        finally:
            store.config_set("maxmemory-policy", "noeviction")
            store.config_set("appendfsync", "no")
            store.config_set("slowlog-log-slower-than", "10000")

    def test_a_follower_that_is_gone_is_the_first_thing_said(self, admin_client: Client) -> None:
        page = text(admin_client)
        assert "Nobody holds the follower" in page and "No samples" in page

    def test_the_slow_log_tells_no_value_and_no_name(self, admin_client: Client, store: Redis) -> None:
        take(store)
        before = store.config_get("slowlog-log-slower-than")["slowlog-log-slower-than"]
        store.config_set("slowlog-log-slower-than", "0")
        store.set(keys.customer_field("CUST777", "profile"), "Wilhelmina Quackenbush")
        store.set(keys.two_factor("ADM001", "482913"), "482913", ex=300)
        store.config_set("slowlog-log-slower-than", before)
        try:
            page = text(admin_client)
            assert "customer:{customer}:{field}" in page and "security:2fa:{person}:{code}" in page
            for secret in ("Quackenbush", "CUST777", "482913"):
                assert secret not in page
        finally:
            store.slowlog_reset()

    @pytest.mark.parametrize("broken", [keys.server_samples(), keys.follower_status(), keys.layout_comparison()])
    def test_what_another_tool_broke_breaks_no_page(self, admin_client: Client, store: Redis, broken: str) -> None:
        store.sadd(broken, "x")
        for address in PAGES:
            text(admin_client, address)

    def test_what_another_tool_wrote_is_escaped(self, admin_client: Client, store: Redis) -> None:
        take(store)
        store.hset(keys.follower_status(), "holder", "<b>x</b>")
        assert "<b>x</b>" not in text(admin_client)


class TestMeasuring:
    def test_a_sample_is_measured_and_shown(self, admin_client: Client, store: Redis) -> None:
        for _ in range(12):
            book.policy()
        assert "Not measured yet" in text(admin_client, "/server/memory/")
        answer = admin_client.post(VERBS[0], {"size": "10", "product": "auto", "token": "a"})
        assert answer["Location"] == "/server/memory/"
        page = text(admin_client, "/server/memory/")
        assert "10 of 12 policies, measured" in page and "save about" in page and "by ADM001" in page
        assert '<tr id="m-auto"' in page and 'aria-label="Memory of one policy"' in page
        assert list(store.scan_iter("dash:~*")) == []

    def test_the_same_form_sent_twice_measures_once(self, admin_client: Client, store: Redis) -> None:
        book.policy()
        admin_client.post(VERBS[0], {"size": "10", "product": "all", "token": "a"})
        first = store.get(keys.layout_comparison())
        admin_client.post(VERBS[0], {"size": "10", "product": "all", "token": "a"})
        assert store.get(keys.layout_comparison()) == first
        admin_client.post(VERBS[0], {"size": "10", "product": "all", "token": "b"})
        assert store.get(keys.layout_comparison()) != first

    @pytest.mark.parametrize(
        "sent",
        [{"size": "9"}, {"size": "5001"}, {"size": "-1"}, {"size": "many"}, {}, {"size": "10", "product": "boat"}],
    )
    def test_what_cannot_be_measured_is_told(self, admin_client: Client, store: Redis, sent: dict[str, str]) -> None:
        book.policy()
        answer = admin_client.post(VERBS[0], {"product": "all", **sent}, follow=True)
        assert answer.redirect_chain == [("/server/memory/", 302)]
        assert re.search(rb"(Policies|Of): \w+", answer.content)
        assert not store.exists(keys.layout_comparison())

    def test_an_empty_book_is_told(self, admin_client: Client) -> None:
        answer = admin_client.post(VERBS[0], {"size": "10", "product": "all"}, follow=True)
        assert b"There is no policy to measure." in answer.content


class TestConverting:
    def ask(self, client: Client, token: str = "a") -> str:
        answer = client.post(VERBS[1], {"layout": "hash", "product": "all", "token": token})
        assert answer.status_code == 302
        return answer["Location"]

    def test_the_page_warns_of_the_customers_other_tools(self, admin_client: Client) -> None:
        page = text(admin_client, "/server/memory/")
        assert "GET policy:auto:100001:premium" in page and "POLICY_LAYOUT" in page

    def test_is_looked_for_shown_confirmed_and_done(self, admin_client: Client, store: Redis) -> None:
        numbers = [book.policy() for _ in range(3)]
        job = self.ask(admin_client)
        finish(store)
        page = text(admin_client, job)
        assert "All policies: from strings to hashes" in page and "Do it to 3" in page
        assert not store.exists(*(keys.policy("auto", number) for number in numbers))
        admin_client.post(f"{job}start/")
        finish(store)
        assert store.exists(*(keys.policy("auto", number) for number in numbers)) == 3
        assert "3 done" in text(admin_client, job)
        assert "$1,200" in text(admin_client, f"/policies/auto/{numbers[0]}/")

    def test_the_same_form_sent_twice_begins_one_job(self, admin_client: Client, store: Redis) -> None:
        book.policy()
        assert self.ask(admin_client) == self.ask(admin_client)
        assert store.scard(keys.jobs_running()) == 1
        assert self.ask(admin_client, "b") != self.ask(admin_client)

    @pytest.mark.parametrize("sent", [{}, {"layout": "list", "product": "all"}, {"layout": "hash", "product": "boat"}])
    def test_a_direction_that_is_none_begins_nothing(
        self, admin_client: Client, store: Redis, sent: dict[str, str]
    ) -> None:
        assert admin_client.post(VERBS[1], sent)["Location"] == "/server/memory/"
        assert not store.exists(keys.jobs_running())


def test_pages_cost_the_same_however_many_policies_there_are(admin_client: Client, store: Redis) -> None:
    def commands(address: str) -> int:
        admin_client.get(address)
        before = store.info("stats")["total_commands_processed"]
        admin_client.get(address)
        return int(store.info("stats")["total_commands_processed"]) - before

    take(store)
    book.policy()
    layouts.compare(None, 10, by="ADM001")
    few = [commands(address) for address in PAGES]
    for _ in range(60):
        book.policy()
    take(store, count=60)
    assert [commands(address) for address in PAGES] == few
