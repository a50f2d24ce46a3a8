"""The linter's page and bulk work over the key space: on the way to a preview, and never further by themselves."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from redis import Redis

from dashboard import keys
from dashboard.repository import census, jobs, key_batch

GHOSTS = [f"quote:auto:Q{number:03}:risk_level" for number in range(30)]


@pytest.fixture
def ghosts(store: Redis) -> Redis:
    store.mset(dict.fromkeys(GHOSTS, "HIGH"))
    census.take(store, rest=0)
    return store


def body(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def job_of(response: object) -> str:
    found = re.fullmatch(r"/jobs/([0-9a-f]+)/", response["Location"])  # type: ignore[index]
    assert found
    return found[1]


def work(store: Redis) -> None:
    while jobs.work_once(store):
        pass


class TestLinter:
    def test_says_what_why_how_many_and_how_it_is_put_right(self, admin_client: Client, ghosts: Redis) -> None:
        page = body(admin_client, "/keys/lint/")
        assert "Parts without their root" in page and "30 keys" in page and "Delete them." in page
        assert page.count('name="ghost_key"') == 20 and "The first 20 of 30" in page
        assert body(admin_client, "/keys/lint/?rule=ghost").count('name="ghost_key"') == 30

    def test_shows_what_is_found_while_it_goes_on(
        self, admin_client: Client, ghosts: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(census, "SLICE", 5)
        monkeypatch.setattr(census, "BEAT", 0.0)
        ghosts.delete(keys.census("latest"))
        steps = iter(range(100))
        census.take(ghosts, rest=0, stop=lambda: next(steps) == 4)
        page = body(admin_client, "/keys/lint/")
        assert "Counting:" in page and 'id="r-ghost"' in page and "30 keys</span>" not in page

    def test_links_to_the_relations_that_contradict(self, admin_client: Client, ghosts: Redis) -> None:
        assert "what stands beside the policies is what the policies say" in body(admin_client, "/keys/lint/")

    def test_chosen_ones_are_put_right_once_confirmed(self, admin_client: Client, ghosts: Redis) -> None:
        answer = admin_client.post("/keys/lint/fix/", {"rule": "ghost", "ghost_key": GHOSTS[:2]})
        job = job_of(answer)
        assert ghosts.exists(*GHOSTS) == 30
        page = body(admin_client, f"/jobs/{job}/")
        assert "Put right: parts without their root" in page and "Do it to 2" in page and GHOSTS[0] in page
        admin_client.post(f"/jobs/{job}/start/")
        work(ghosts)
        assert ghosts.exists(*GHOSTS) == 28

    def test_all_are_looked_for_first(self, admin_client: Client, ghosts: Redis) -> None:
        job = job_of(admin_client.post("/keys/lint/fix/", {"rule": "ghost", "all": "1"}))
        assert "Looking" in body(admin_client, f"/jobs/{job}/")
        work(ghosts)
        assert "Do it to 30" in body(admin_client, f"/jobs/{job}/") and ghosts.exists(*GHOSTS) == 30
        admin_client.post(f"/jobs/{job}/start/")
        work(ghosts)
        assert not ghosts.exists(*GHOSTS)

    def test_sent_twice_one_search_is_begun(self, admin_client: Client, ghosts: Redis) -> None:
        order = {"rule": "ghost", "all": "1", "token": "the-same"}
        assert job_of(admin_client.post("/keys/lint/fix/", order)) == job_of(
            admin_client.post("/keys/lint/fix/", order)
        )

    def test_choosing_nothing_and_rules_that_are_none_are_told(self, admin_client: Client, ghosts: Redis) -> None:
        page = admin_client.post("/keys/lint/fix/", {"rule": "ghost"}, follow=True)
        assert b"Nothing was chosen." in page.content
        assert admin_client.post("/keys/lint/fix/", {"rule": "nonsense"}).status_code == 400
        page = admin_client.post("/keys/lint/fix/", {"rule": "unknown", "all": "1"}, follow=True)
        assert b"one by one" in page.content

    def test_a_live_page_is_led_to_the_preview(self, admin_client: Client, ghosts: Redis) -> None:
        order = {"rule": "ghost", "ghost_key": GHOSTS[:1]}
        assert "/jobs/" in admin_client.post("/keys/lint/fix/", order, headers={"HX-Request": "true"})["HX-Redirect"]


class TestBatch:
    def order(self, **changes: str) -> dict[str, str]:
        return {"family": "device_session", "verb": "extend", "amount": "30", "unit": "minutes"} | changes

    def test_a_family_is_extended_once_confirmed(self, admin_client: Client, store: Redis) -> None:
        store.set("session:mobile:CUST001:d1", "x", ex=600)
        job = job_of(admin_client.post("/keys/batch/", self.order()))
        assert "Looking" in body(admin_client, "/keys/batch/")
        work(store)
        assert store.ttl("session:mobile:CUST001:d1") <= 600
        assert "Extend by 30 minutes" in body(admin_client, f"/jobs/{job}/")
        admin_client.post(f"/jobs/{job}/start/")
        work(store)
        assert 2_300 < store.ttl("session:mobile:CUST001:d1") <= 2_400

    def test_sent_twice_one_search_is_begun(self, admin_client: Client, store: Redis) -> None:
        for address, order in (("/keys/batch/", self.order(token="same")), ("/keys/batch/cleanup/", {"token": "same"})):
            assert job_of(admin_client.post(address, order)) == job_of(admin_client.post(address, order))
        assert store.scard(keys.jobs_running()) == 2

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"amount": ""}, "Say how long."),
            ({"amount": "-1"}, "greater than or equal to 1"),
            ({"family": "policy_audit"}, "Select a valid choice"),
            ({"low": "10", "high": "5"}, "less than the first"),
            ({"family": "portal", "verb": "persist"}, "have to end"),
            ({"family": "quote", "verb": "shorten"}, "only ever extended"),
        ],
    )
    def test_what_cannot_be_stays_on_the_form_with_its_reason(
        self, admin_client: Client, store: Redis, changes: dict[str, str], words: str
    ) -> None:
        page = admin_client.post("/keys/batch/", self.order(**changes)).content.decode()
        assert words in page.replace("&#x27;", "'") and 'value="minutes" selected' in page
        assert not store.exists(keys.jobs_running())

    def test_test_data_is_named_before_it_is_deleted(self, admin_client: Client, store: Redis) -> None:
        store.mset({"test:1": "x", "temp:2": "x", "claim:temp:CLM003": "x"})
        job = job_of(admin_client.post("/keys/batch/cleanup/"))
        work(store)
        page = body(admin_client, f"/jobs/{job}/")
        assert "Do it to 2" in page and "test:1" in page and "temp:2" in page and "CLM003" not in page
        admin_client.post(f"/jobs/{job}/start/")
        work(store)
        assert store.exists("test:1", "temp:2") == 0 and store.exists("claim:temp:CLM003")
        assert "2 done" in body(admin_client, f"/jobs/{job}/")

    def test_a_search_can_be_stopped(self, admin_client: Client, store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(key_batch, "LOOK", 5)
        store.mset({f"test:{number}": "x" for number in range(100)})
        job = job_of(admin_client.post("/keys/batch/cleanup/"))
        jobs.work_once(store)
        admin_client.post(f"/jobs/{job}/stop/")
        work(store)
        assert jobs.get(store, job).state == "done" and len(list(store.scan_iter("test:*"))) == 100

    def test_a_live_update_leaves_the_way_to_the_other_pages_of_keys(self, admin_client: Client) -> None:
        answer = admin_client.get("/keys/batch/", headers={"HX-Request": "true"}).content.decode()
        assert 'href="/keys/lint/"' in answer and 'id="filters" data-region' in answer


class TestComingBack:
    def test_what_was_stopped_is_found_again_where_it_was_begun(
        self, admin_client: Client, store: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.set("session:mobile:CUST001:d1", "x", ex=600)
        order = {"family": "device_session", "verb": "extend", "amount": "1", "unit": "hours"}
        job = job_of(admin_client.post("/keys/batch/", order))
        assert f'href="/jobs/{job}/"' in body(admin_client, "/keys/batch/")
        work(store)
        admin_client.post(f"/jobs/{job}/start/")
        admin_client.post(f"/jobs/{job}/stop/")
        page = body(admin_client, "/keys/batch/")
        assert f'href="/jobs/{job}/"' in page and "Stopped" in page and "Your latest bulk work" in page
        assert job not in body(admin_client, "/server/memory/"), "it has nothing to do with the layouts"

    def test_a_colleagues_is_seen_under_way_and_can_be_stopped_but_neither_read_nor_begun(
        self, admin_client: Client, agent_client: Client, ghosts: Redis
    ) -> None:
        job = key_batch.gather_fix("ghost", by="ADM002")
        page = body(admin_client, "/keys/batch/")
        assert "Under way by others" in page and "ADM002" in page and f'formaction="/jobs/{job}/stop/"' in page
        assert f'href="/jobs/{job}/"' not in page
        assert (
            admin_client.get(f"/jobs/{job}/").status_code == admin_client.post(f"/jobs/{job}/start/").status_code == 404
        )
        assert agent_client.post(f"/jobs/{job}/stop/").status_code == 404
        assert jobs.get(ghosts, job).state == "gathering"
        assert admin_client.get(f"/jobs/{job}/stop/").status_code == 405
        assert admin_client.post(f"/jobs/{job}/stop/")["Location"] == "/keys/batch/"
        work(ghosts)
        assert jobs.get(ghosts, job).state == "done" and ghosts.exists(*GHOSTS) == 30

    def test_a_colleagues_that_is_not_over_the_keys_is_left_alone(self, admin_client: Client, store: Redis) -> None:
        job = jobs.preview("extend_quotes", ["auto:Q001"], {"limit": "2"}, by="AG001", title="Extend")
        jobs.start(job, by="AG001")
        assert job not in body(admin_client, "/keys/batch/")
        assert admin_client.post(f"/jobs/{job}/stop/").status_code == 404
        assert jobs.get(store, job).state == "running"
