"""Strings and hash: what each takes, measured by the server, and turning one into the other while everybody works on
(trap 3: a policy is wholly in one layout; readers accept both; converting is one transaction).
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as configured
from redis import Redis
from redis.exceptions import ResponseError

from dashboard import clock, keys
from dashboard.errors import Conflict, NotFound
from dashboard.repository import agents, areas, jobs, layouts, policies
from dashboard.repository.agents import Scope
from dashboard.repository.layouts import Standing
from dashboard.repository.policies import Filter
from tests import book

DOCUMENT = {"customer": "CUST001", "premium": "1200", "status": "ACTIVE", "agent": "AG001"}
"""The four fields of the document's comparison."""
PIECE = 16
"""Bytes that the C library's allocator may hand out beyond what was asked for, by what others left free."""


@pytest.fixture(autouse=True)
def branches(store: Redis) -> None:
    agents.save(store, {"AG001": "dallas", "AG002": "houston"})


def layout_of(store: Redis, number: str, product: str = "auto") -> set[str]:
    """Every layout that any key of the policy is in."""
    root, *names = keys.policy_keys(product, number)
    return ({"hash"} if store.exists(root) else set()) | ({"strings"} if store.exists(*names) else set())


def facts(number: str, store: Redis) -> dict[str, str]:
    return policies.raw_facts(store, policies.get(store, "auto", number))


def finish(store: Redis) -> None:
    for _ in range(500):
        if not jobs.work_once(store):
            return
    raise AssertionError("it never ended")


def convert_all(store: Redis, layout: policies.Layout, product: str | None = None) -> str:
    job = layouts.gather(product, layout, by="ADM001")
    finish(store)
    if jobs.get(store, job).state == "previewed":
        jobs.start(job, by="ADM001")
        finish(store)
    return job


class TestMeasuring:
    def test_the_documents_own_comparison_holds(self, store: Redis) -> None:
        policy = Standing("auto", "100001", "strings", DOCUMENT)
        ((strings, hashed, table),) = layouts.weigh(store, [policy])
        assert hashed <= strings / 2 + PIECE and not table

    def test_is_what_the_policys_own_keys_take(self, store: Redis) -> None:
        for field, text in DOCUMENT.items():
            store.set(keys.policy_field("auto", "100001", field), text)
        own = sum(store.memory_usage(keys.policy_field("auto", "100001", field), samples=0) for field in DOCUMENT)
        store.hset(keys.policy("auto", "100002"), mapping=DOCUMENT)
        hashed = store.memory_usage(keys.policy("auto", "100002"), samples=0)
        ((strings, as_hash, table),) = layouts.weigh(store, [Standing("auto", "100001", "strings", DOCUMENT)])
        assert abs(strings - own) <= PIECE * len(DOCUMENT) and abs(as_hash - hashed) <= PIECE and not table

    def test_leaves_nothing_behind_and_touches_no_policy(self, store: Redis) -> None:
        numbers = [book.policy() for _ in range(45)]
        before = {name: store.dump(name) for name in store.scan_iter("policy:*")}
        layouts.compare(None, 1_000, by="ADM001")
        assert {name: store.dump(name) for name in store.scan_iter("policy:*")} == before
        assert list(store.scan_iter("dash:~*")) == []
        assert len(numbers) == 45

    def test_nobody_ever_sees_what_is_measured(self, store: Redis) -> None:
        seen: list[str] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                seen.extend(name for name in store.scan_iter("dash:~*", count=1_000))

        thread = threading.Thread(target=watch)
        thread.start()
        for _ in range(50):
            layouts.weigh(store, [Standing("auto", f"{number}", "strings", DOCUMENT) for number in range(20)])
        done.set()
        thread.join()
        assert seen == []

    def test_a_long_text_makes_a_table_of_the_hash_and_is_told(self, store: Redis) -> None:
        book.policy(vehicle="A very long vehicle " + "x" * 80)
        layouts.compare("auto", 10, by="ADM001")
        found = layouts.latest(store)
        assert found and found.rows[0].tables == 1

    def test_a_sample_has_the_proportions_of_the_book(self, store: Redis) -> None:
        for _ in range(30):
            book.policy()
        for _ in range(10):
            book.policy("life", premium_monthly="45")
        assert layouts.compare(None, 20, by="ADM001") in (20, 21)
        found = layouts.latest(store)
        assert found and {row.product: (row.policies, row.book) for row in found.rows} == {
            "auto": (15, 30),
            "life": (5, 10),
        }
        assert found.by == "ADM001"

    def test_what_is_a_hash_already_saves_nothing_more(self, store: Redis) -> None:
        numbers = [book.policy() for _ in range(20)]
        layouts.compare("auto", 100, by="ADM001")
        before = layouts.latest(store)
        for number in numbers[:10]:
            layouts.convert("auto", number, "hash")
        layouts.compare("auto", 100, by="ADM001")
        after = layouts.latest(store)
        assert before and after and after.rows[0].as_hash == 10
        # Equal fields, whichever layout they were read from; the allocator rounds the same text differently now and then.
        assert after.rows[0].strings == pytest.approx(before.rows[0].strings, rel=0.05)
        assert after.saves == pytest.approx(before.saves / 2, rel=0.1)

    def test_what_it_says_it_would_save_is_what_converting_saves(self, store: Redis) -> None:
        for number in range(40):
            book.policy(vehicle=f"Car {number % 7}", premium=str(900 + number))
        layouts.compare("auto", 100, by="ADM001")
        said = layouts.latest(store)

        def taken() -> int:
            return sum(store.memory_usage(name, samples=0) for name in store.scan_iter("policy:*"))

        before = taken()
        convert_all(store, "hash")
        assert said and said.saves == pytest.approx(before - taken(), rel=0.1)

    def test_a_form_sent_twice_measures_and_keeps_once(self, store: Redis) -> None:
        book.policy()
        layouts.compare("auto", 10, by="ADM001", token="t" * 40)
        first = store.get(keys.layout_comparison())
        layouts.compare("auto", 10, by="ADM001", token="t" * 40)
        assert store.get(keys.layout_comparison()) == first

    def test_an_empty_book_is_refused(self, store: Redis) -> None:
        with pytest.raises(Conflict):
            layouts.compare(None, 10, by="ADM001")

    @pytest.mark.parametrize(
        "text",
        ["", "x", "[]", "{}", '{"at": 1, "by": "x", "rows": [{}]}', '{"at":1,"by":"x","rows":[["auto"]]}', "[" * 9_000],
    )
    def test_what_another_tool_wrote_there_is_no_comparison(self, store: Redis, text: str) -> None:
        store.set(keys.layout_comparison(), text)
        assert layouts.latest(store) is None

    def test_a_comparison_of_another_type_is_none(self, store: Redis) -> None:
        store.rpush(keys.layout_comparison(), "x")
        assert layouts.latest(store) is None


class TestConverting:
    def test_there_and_back_keeps_every_fact(self, store: Redis) -> None:
        number = book.policy(vehicle="Café \udcff car", vehicle_vin="1HGBH41JXMN109186")
        before, shown = facts(number, store), policies.get(store, "auto", number)
        assert layouts.convert("auto", number, "hash") == "converted"
        assert layout_of(store, number) == {"hash"} and facts(number, store) == before
        assert layouts.convert("auto", number, "strings") == "converted"
        assert layout_of(store, number) == {"strings"} and facts(number, store) == before
        assert policies.get(store, "auto", number) == shown

    def test_what_other_tools_find_is_in_the_documents_form_either_way(self, store: Redis) -> None:
        number = book.policy()
        layouts.convert("auto", number, "hash")
        assert store.hget(f"policy:auto:{number}", "premium") == "1200"
        assert store.get(f"policy:auto:{number}:premium") is None
        layouts.convert("auto", number, "strings")
        assert store.get(f"policy:auto:{number}:premium") == "1200"

    def test_one_that_is_in_the_layout_already_is_left_as_it_is(self, store: Redis) -> None:
        number = book.policy()
        assert layouts.convert("auto", number, "strings") == "as it was"

    def test_one_that_is_gone_is_said_to_be(self, store: Redis) -> None:
        with pytest.raises(NotFound):
            layouts.convert("auto", "999999", "hash")

    def spoil(self, store: Redis, number: str, how: str) -> None:
        root, field = keys.policy("auto", number), keys.policy_field("auto", number, "premium")
        if how == "both":
            store.hset(root, "premium", "1")
        elif how == "list":
            store.delete(field)
            store.rpush(field, "1")
        elif how == "root":
            store.set(root, "x")
        else:
            store.expire(field, 600)

    @pytest.mark.parametrize("how", ["both", "list", "root", "lifetime"])
    def test_nothing_is_lost_where_it_could_not_be_kept(self, store: Redis, how: str) -> None:
        number = book.policy()
        self.spoil(store, number, how)
        before = {name: store.dump(name) for name in store.scan_iter("policy:*")}
        with pytest.raises(Conflict):
            layouts.convert("auto", number, "hash")
        assert {name: store.dump(name) for name in store.scan_iter("policy:*")} == before

    def test_a_field_that_only_a_hash_can_hold_keeps_it_a_hash(self, store: Redis) -> None:
        number = book.policy()
        layouts.convert("auto", number, "hash")
        store.hset(keys.policy("auto", number), "notes", "of another tool")
        with pytest.raises(Conflict, match="notes"):
            layouts.convert("auto", number, "strings")
        assert layout_of(store, number) == {"hash"}

    def test_an_edit_begun_before_is_saved_after(self, store: Redis) -> None:
        number = book.policy()
        seen = policies.get(store, "auto", number).seen
        layouts.convert("auto", number, "hash")
        policies.edit("auto", number, {"premium": "1300"}, seen=seen, by="AG001")
        assert layout_of(store, number) == {"hash"} and facts(number, store)["premium"] == "1300"

    @pytest.mark.parametrize("layout", layouts.LAYOUTS)
    def test_the_setting_chooses_for_new_policies(self, store: Redis, settings: Any, layout: str) -> None:
        settings.POLICY_LAYOUT = layout
        number = book.policy()
        assert layout_of(store, number) == {layout}
        assert policies.get(store, "auto", number).premium == Decimal(1200)


class TestReadersUnaware:
    def test_a_policy_converted_between_two_looks_is_found(self, store: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        number = book.policy()
        layouts.convert("auto", number, "hash")
        look = policies._read_hashes

        def late(*arguments: Any) -> Any:
            layouts.convert("auto", number, "strings")
            return look(*arguments)

        monkeypatch.setattr(policies, "_read_hashes", late)
        found = policies.load(store, [f"auto:{number}"])[f"auto:{number}"]
        assert (found.layout, found.premium) == ("strings", Decimal(1200))

    def test_lists_and_pages_never_miss_one_while_it_is_turned(self, store: Redis) -> None:
        numbers = [book.policy() for _ in range(10)]
        done = threading.Event()
        wrong: list[object] = []

        def read() -> None:
            while not done.is_set():
                page = policies.listing(store, Scope(), Filter(product="auto"))
                if page.total != 10 or [row.premium for row in page.rows] != [Decimal(1200)] * 10:
                    wrong.append(page)

        with ThreadPoolExecutor(2) as threads:
            readers = [threads.submit(read) for _ in range(2)]
            for turn in range(30):
                for number in numbers:
                    layouts.convert("auto", number, "hash" if turn % 2 == 0 else "strings")
            done.set()
        assert [reader.result() for reader in readers] == [None, None]
        assert wrong == []


class TestRace:
    """Converting while others edit the same policy: nobody's edit is lost, and the policy stays in one layout."""

    EDITS = 40

    def meet(self, store: Redis, convert: Callable[[str, policies.Layout], object]) -> int:
        """How many edits, made while the policy is converted there and back again and again, were not to be found right
        after they had been saved; one more where the policy is in two layouts at the end.
        """
        number, done = book.policy(), threading.Event()

        def turn() -> None:
            while not done.is_set():
                for layout in ("hash", "strings"):
                    convert(number, layout)
                    time.sleep(random.uniform(0, 0.02))

        with ThreadPoolExecutor(1) as threads:
            turning = threads.submit(turn)
            lost = sum(not self.insist(store, number, str(1_000 + at)) for at in range(self.EDITS))
            done.set()
            turning.result()
        return lost + (len(layout_of(store, number)) != 1)

    def insist(self, store: Redis, number: str, premium: str) -> bool:
        """As somebody at a form does: look again, save again. Whether what was saved is there then."""
        member = f"auto:{number}"
        for _ in range(50):
            try:
                seen = policies.get(store, "auto", number).seen
                policies.edit("auto", number, {"premium": premium}, seen=seen, by="AG001")
            except (Conflict, NotFound, ResponseError):
                continue
            found = policies.load(store, [member], fields=policies.FIELDS).get(member)
            return found is not None and found.premium == Decimal(premium) and found.customer == "CUST001"
        return False

    def test_no_edit_is_lost_and_no_policy_is_split(self, store: Redis) -> None:
        assert self.meet(store, lambda number, layout: layouts.convert("auto", number, layout)) == 0

    def test_reading_and_then_writing_loses_some(self, store: Redis) -> None:
        """The plain way, in the same harness: what it loses is what the transaction keeps."""

        def plainly(number: str, layout: policies.Layout) -> None:
            root, *names = keys.policy_keys("auto", number)
            try:
                if layout == "hash":
                    texts = store.mget(names)
                    found = {
                        field: text for field, text in zip(keys.POLICY_FIELDS, texts, strict=True) if text is not None
                    }
                    if found:
                        store.hset(root, mapping=found)
                        store.delete(*names)
                else:
                    for field, text in store.hgetall(root).items():
                        store.set(keys.policy_field("auto", number, field), text)
                    store.delete(root)
            except ResponseError:
                pass

        assert self.meet(store, plainly) > 0


class TestTheWholeBook:
    def fill(self, count: int) -> list[str]:
        return [book.policy() for _ in range(count)]

    def test_is_looked_for_shown_and_then_converted(self, store: Redis) -> None:
        numbers = self.fill(70)
        book.policy("life", premium_monthly="45")
        job = layouts.gather("auto", "hash", by="ADM001")
        finish(store)
        shown = jobs.get(store, job)
        assert (shown.state, shown.total) == ("previewed", 70)
        assert all(layout_of(store, number) == {"strings"} for number in numbers)
        jobs.start(job, by="ADM001")
        finish(store)
        ended = jobs.get(store, job)
        assert (ended.state, ended.done, ended.failed) == ("done", 70, 0)
        assert all(layout_of(store, number) == {"hash"} for number in numbers)
        assert policies.totals(store, Scope(), Filter())["auto"] == 70

    def test_and_back(self, store: Redis) -> None:
        numbers = self.fill(20)
        convert_all(store, "hash")
        job = convert_all(store, "strings")
        assert jobs.get(store, job).total == 20
        assert all(layout_of(store, number) == {"strings"} for number in numbers)

    def test_one_that_cannot_be_is_named_with_the_reason(self, store: Redis) -> None:
        numbers = self.fill(3)
        store.hset(keys.policy("auto", numbers[1]), "premium", "1")
        ended = jobs.get(store, convert_all(store, "hash"))
        assert (ended.done, ended.failed) == (3, 1)
        assert ended.failures[0][0] == f"auto:{numbers[1]}" and "both layouts" in ended.failures[0][1]

    def test_is_stopped_and_gone_on_with(self, store: Redis) -> None:
        numbers = self.fill(120)
        job = layouts.gather(None, "hash", by="ADM001")
        finish(store)
        jobs.start(job, by="ADM001")
        jobs.work_once(store)
        jobs.stop(job, by="ADM001")
        finish(store)
        turned = sum(layout_of(store, number) == {"hash"} for number in numbers)
        assert turned == jobs.SLICE
        jobs.start(job, by="ADM001")
        finish(store)
        assert all(layout_of(store, number) == {"hash"} for number in numbers)

    def test_all_of_a_batch_is_one_audit_record(self, store: Redis) -> None:
        self.fill(60)
        convert_all(store, "hash")
        (name,) = store.scan_iter("audit:key:*")
        assert store.get(name) == "Policies converted to hash in bulk by ADM001"
        assert 0 < store.pttl(name) <= 365 * clock.DAY

    def test_a_policy_that_is_edited_meanwhile_is_converted_with_its_edit(self, store: Redis) -> None:
        numbers = self.fill(30)
        job = layouts.gather(None, "hash", by="ADM001")
        finish(store)
        seen = policies.get(store, "auto", numbers[5]).seen
        policies.edit("auto", numbers[5], {"premium": "1777"}, seen=seen, by="AG001")
        jobs.start(job, by="ADM001")
        finish(store)
        assert store.hget(keys.policy("auto", numbers[5]), "premium") == "1777"

    def test_the_index_is_as_it_was(self, store: Redis) -> None:
        self.fill(10)
        before = policies.listing(store, Scope(), Filter()).rows
        convert_all(store, "hash")
        members = [row.id for row in before]
        assert areas.refresh(store, "policies", members) == 0
        assert [row.id for row in policies.listing(store, Scope(), Filter()).rows] == members

    def test_a_worker_that_is_killed_in_the_middle_leaves_no_policy_in_between(self, store: Redis) -> None:
        numbers = self.fill(150)
        job = layouts.gather(None, "hash", by="ADM001")
        finish(store)
        jobs.start(job, by="ADM001")
        worker = (
            "import django; django.setup()\n"
            "from dashboard import redis\n"
            "from dashboard.repository import areas, jobs\n"
            "print('at work', flush=True)\n"
            "while jobs.work_once(redis.client()): pass\n"
        )
        environment = {"DJANGO_SETTINGS_MODULE": "insurance_site.settings", "DATA_DIR": str(configured.DATA_DIR)}
        process = subprocess.Popen(
            [sys.executable, "-c", worker], cwd=configured.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout and process.stdout.readline() == "at work\n"
        while not sum(layout_of(store, number) == {"hash"} for number in numbers) >= 10:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert all(len(layout_of(store, number)) == 1 for number in numbers)
        assert jobs.get(store, job).state == "running"
        finish(store)  # whoever holds the lease next
        ended = jobs.get(store, job)
        assert (ended.state, ended.done, ended.failed) == ("done", 150, 0)
        assert all(layout_of(store, number) == {"hash"} for number in numbers)
        assert [facts(number, store)["premium"] for number in numbers] == ["1200"] * 150


def test_the_comparison_is_kept_for_a_week(store: Redis) -> None:
    book.policy()
    layouts.compare("auto", 10, by="ADM001")
    assert 0 < store.pttl(keys.layout_comparison()) <= layouts.KEPT
    assert json.loads(store.get(keys.layout_comparison()))["by"] == "ADM001"
