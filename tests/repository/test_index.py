"""The index pages a list as if it had sorted the whole of it: held against a model that does sort the whole."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from dashboard import keys
from dashboard.repository.index import NEVER, Cursor, Entry, Index, Pipe, Slice, clean, number_score
from dashboard.repository.store import Change, change

BRANCHES = ("", "dallas", "houston")
COLOURS = ("red", "blue")
OWNERS = ("", "A1", "A2")
TAGS = ("", "x", "y")

_areas = (f"try{number}" for number in itertools.count())


def an_index() -> Index:
    """Of an area of its own: `branch` is asked for by those who may see some, `colour` may be left open."""
    return Index(
        next(_areas),
        patterns=(("branch", "colour"), ("owner", "colour"), ("tag",)),
        sorts=("score", "other"),
        domains={"colour": COLOURS},
        lookups=("owner", "tag"),
    )


def entry(score: int = 0, other: int = 0, **facets: str) -> Entry:
    standing = {"branch": "dallas", "colour": "red", "owner": "", "tag": ""}
    return Entry({**standing, **facets}, {"score": score, "other": other})


def put(client: Redis, index: Index, entries: Mapping[str, Entry | None], *, force: bool = False) -> None:
    known = index.known_places(client, list(entries))
    pipe = client.pipeline(transaction=True)
    for member, each in entries.items():
        index.put(Pipe(pipe), member, each, known[member], force=force)
    pipe.execute()


# -- against the model

ENTRIES = st.dictionaries(
    st.from_regex(r"[a-c]:[0-9]{1,2}", fullmatch=True),
    st.builds(
        entry,
        score=st.integers(0, 6) | st.integers(-(10**15), NEVER),
        other=st.integers(0, 3),
        branch=st.sampled_from(BRANCHES),
        colour=st.sampled_from(COLOURS),
        owner=st.sampled_from(OWNERS),
        tag=st.sampled_from(TAGS),
    ),
    max_size=60,
)
WANTED = st.fixed_dictionaries(
    {"branch": st.lists(st.sampled_from(BRANCHES), unique=True)},
    optional={
        "colour": st.lists(st.sampled_from(COLOURS), unique=True),
        "owner": st.lists(st.sampled_from(OWNERS[1:]), min_size=1, unique=True),
        "tag": st.lists(st.sampled_from(TAGS[1:]), min_size=1, unique=True),
    },
)


@dataclass(frozen=True)
class Question:
    """What a list is asked for."""

    wanted: Mapping[str, Sequence[str]]
    sort: str
    size: int
    descending: bool
    low: int | None
    high: int | None

    def page(self, client: Redis, index: Index, cursor: Cursor | None = None) -> Slice:
        return index.page(
            client,
            self.wanted,
            self.sort,
            self.size,
            cursor=cursor,
            descending=self.descending,
            low=self.low,
            high=self.high,
        )

    def answer(self, entries: Mapping[str, Entry]) -> list[str]:
        """All members, in order, by looking at every one."""
        fitting = [
            (each.scores[self.sort], member)
            for member, each in entries.items()
            if all(each.facets[facet] in values for facet, values in self.wanted.items())
            and (self.low is None or each.scores[self.sort] >= self.low)
            and (self.high is None or each.scores[self.sort] <= self.high)
        ]
        return [member for _, member in sorted(fitting, reverse=self.descending)]

    def forwards(self, client: Redis, index: Index) -> Iterator[Slice]:
        page = self.page(client, index)
        yield page
        while page.next:
            page = self.page(client, index, page.next)
            yield page

    def backwards(self, client: Redis, index: Index, last: Slice) -> Iterator[Slice]:
        while last.previous:
            last = self.page(client, index, last.previous)
            yield last


QUESTIONS = st.builds(
    Question,
    wanted=WANTED,
    sort=st.sampled_from(("score", "other")),
    size=st.integers(1, 12),
    descending=st.booleans(),
    low=st.none() | st.integers(-1, 4),
    high=st.none() | st.integers(2, 8),
)

against_model = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@against_model
@given(entries=ENTRIES, asked=QUESTIONS)
def test_pages_walked_forward_are_the_whole_list_in_order(
    store: Redis, entries: dict[str, Entry], asked: Question
) -> None:
    index = an_index()
    put(store, index, entries)
    expected = asked.answer(entries)
    seen: list[str] = []
    for page in asked.forwards(store, index):
        assert page.total == len(expected)
        assert page.first == (len(seen) + 1 if page.members else 0)
        assert bool(page.previous) == bool(seen)
        assert list(page.scores) == [entries[member].scores[asked.sort] for member in page.members]
        seen += page.members
    assert seen == expected


@against_model
@given(entries=ENTRIES, asked=QUESTIONS)
def test_pages_walked_backward_are_the_pages_walked_forward(
    store: Redis, entries: dict[str, Entry], asked: Question
) -> None:
    index = an_index()
    put(store, index, entries)
    *_, last = asked.forwards(store, index)
    there = list(asked.forwards(store, index))
    back = [last, *asked.backwards(store, index, last)]
    assert [(page.members, page.first) for page in reversed(back)] == [(page.members, page.first) for page in there]
    assert all(page.next for page in back[1:])


@against_model
@given(entries=ENTRIES, asked=QUESTIONS, score=st.integers(-5, 12), member=st.sampled_from("abz"), before=st.booleans())
def test_any_cursor_gives_a_stretch_of_the_list_with_its_true_rank(
    store: Redis, entries: dict[str, Entry], asked: Question, score: int, member: str, before: bool
) -> None:
    index = an_index()
    put(store, index, entries)
    expected = asked.answer(entries)
    page = asked.page(store, index, Cursor(score, f"{member}:5", before))
    assert page.total == len(expected)
    assert bool(page.members) == bool(expected), "no cursor leads to an empty page of a list that is not empty"
    start = max(page.first - 1, 0)
    assert list(page.members) == expected[start : start + len(page.members)]
    assert bool(page.next) == (start + len(page.members) < len(expected))
    assert bool(page.previous) == (start > 0)


@against_model
@given(before=ENTRIES, after=ENTRIES, asked=QUESTIONS, force=st.booleans())
def test_what_moves_from_cell_to_cell_leaves_nothing_behind(
    store: Redis, before: dict[str, Entry], after: dict[str, Entry], asked: Question, force: bool
) -> None:
    index = an_index()
    put(store, index, before)
    put(store, index, {member: after.get(member) for member in {**before, **after}}, force=force)
    assert list(itertools.chain(*(page.members for page in asked.forwards(store, index)))) == asked.answer(after)


@against_model
@given(entries=ENTRIES)
def test_what_is_taken_out_leaves_no_key(store: Redis, entries: dict[str, Entry]) -> None:
    index = an_index()
    put(store, index, entries)
    put(store, index, dict.fromkeys(entries))
    assert store.keys(f"*{index.area}*") == []


# -- ties


@pytest.mark.parametrize("descending", [False, True])
def test_a_hundred_members_of_one_score_are_paged_through_without_loss(store: Redis, descending: bool) -> None:
    """As when another tool writes a hundred quotes in one pipeline: all end in the same millisecond."""
    index = an_index()
    entries = {f"a:{number:03}": entry(score=7) for number in range(100)}
    put(store, index, entries)
    asked = Question({"branch": ["dallas"]}, "score", 10, descending, None, None)
    there = list(asked.forwards(store, index))
    assert [page.first for page in there] == list(range(1, 100, 10))
    assert list(itertools.chain(*(page.members for page in there))) == asked.answer(entries)
    back = list(asked.backwards(store, index, there[-1]))
    assert [page.first for page in back] == list(range(81, 0, -10))
    assert [page.members for page in reversed(back)] == [page.members for page in there[:-1]]


def test_members_of_one_score_in_different_cells_are_one_list(store: Redis) -> None:
    index = an_index()
    entries = {f"a:{number:03}": entry(score=7, branch=BRANCHES[number % 3]) for number in range(90)}
    put(store, index, entries)
    asked = Question({"branch": BRANCHES}, "score", 10, False, None, None)
    pages = list(asked.forwards(store, index))
    assert list(itertools.chain(*(page.members for page in pages))) == sorted(entries)
    assert [page.first for page in pages] == list(range(1, 90, 10))


# -- while others come and go


def test_a_page_stays_where_it_is_when_rows_before_it_leave(store: Redis) -> None:
    index = an_index()
    put(store, index, {f"a:{number}": entry(score=number) for number in range(1, 10)})
    asked = Question({"branch": ["dallas"]}, "score", 3, False, None, None)
    second = asked.page(store, index, asked.page(store, index).next)
    put(store, index, {"a:1": None, "a:3": None})
    again = asked.page(store, index, asked.page(store, index).next)
    assert second.members == ("a:4", "a:5", "a:6")
    assert again.members == ("a:6", "a:7", "a:8"), "the first page was filled up"
    kept = asked.page(store, index, Cursor(3, "a:3"))
    assert (kept.members, kept.first) == (("a:4", "a:5", "a:6"), 2), "the row that the cursor names is gone"


def test_a_page_before_the_top_of_a_shrunken_list_is_its_first_page(store: Redis) -> None:
    index = an_index()
    put(store, index, {f"a:{number}": entry(score=number) for number in range(1, 7)})
    asked = Question({"branch": ["dallas"]}, "score", 3, False, None, None)
    put(store, index, {"a:1": None})
    page = asked.page(store, index, Cursor(4, "a:4", before=True))
    assert (page.members, page.first, page.previous) == (("a:2", "a:3", "a:4"), 1, None)


def test_a_page_behind_the_end_of_a_shrunken_list_is_its_last_page(store: Redis) -> None:
    index = an_index()
    put(store, index, {f"a:{number}": entry(score=number) for number in range(1, 5)})
    asked = Question({"branch": ["dallas"]}, "score", 3, False, None, None)
    page = asked.page(store, index, Cursor(9, "a:9"))
    assert (page.members, page.first, page.next) == (("a:2", "a:3", "a:4"), 2, None)


# -- writing


def test_nothing_is_written_for_what_stands_already(store: Redis) -> None:
    index, recorded = an_index(), _Recorded()
    put(store, index, {"a:1": entry(score=1)})
    known = index.known_places(store, ["a:1"])["a:1"]
    assert not index.put(recorded, "a:1", entry(score=1), known)
    assert recorded.commands == []
    assert index.put(recorded, "a:1", entry(score=2), known)
    assert recorded.commands


def test_force_writes_what_seems_to_stand(store: Redis) -> None:
    index = an_index()
    put(store, index, {"a:1": entry(score=1)})
    store.delete(index.key(index.cell(branch="dallas", colour="red"), "score"))
    put(store, index, {"a:1": entry(score=1)}, force=True)
    assert index.page(store, {"branch": ["dallas"]}, "score", 5).members == ("a:1",)


def test_what_lacks_a_facet_that_is_only_looked_up_stands_in_none_of_its_cells(store: Redis) -> None:
    index = an_index()
    put(store, index, {"a:1": entry(owner="", tag="x")})
    cells = {parsed.parts["cell"] for key in store.keys("*") if (parsed := keys.parse(key)) and "cell" in parsed.parts}
    assert cells == {"branch=dallas,colour=red", "tag=x"}


def test_a_facet_that_cannot_stand_in_a_key_name_counts_as_unknown(store: Redis) -> None:
    index = an_index()
    put(store, index, {"a:1": entry(branch="down town"), "a:2": entry(branch="a=b"), "a:3": entry(branch="")})
    assert index.page(store, {"branch": [""]}, "score", 5).total == 3
    assert [clean(value) for value in ("down town", "a=b", "a:b", None, "", "dallas")] == ["", "", "", "", "", "dallas"]


@pytest.mark.parametrize(
    "member",
    [
        "auto:100001",
        "mobile:" + "c" * 64 + ":" + "9" * 64,
        "auto:" + "A" * 63 + "1",
        "Ä:ß",
        "CLM003",
        "000000000000000",
    ],
)
def test_a_member_of_any_length_has_its_place(store: Redis, member: str) -> None:
    index = an_index()
    put(store, index, {member: entry(score=1)})
    assert index.known_places(store, [member])[member] is not None
    assert index.page(store, {"branch": ["dallas"]}, "score", 5).members == (member,)


def test_about_a_hundred_neighbours_share_a_bucket(store: Redis) -> None:
    index = an_index()
    put(store, index, {f"auto:{number}": entry(score=number) for number in range(100_000, 100_200)})
    assert sorted(store.hlen(key) for key in store.keys(f"dash:indexed:{index.area}:*")) == [100, 100]


def test_what_was_indexed_before_a_cell_was_thought_of_is_written_anew(store: Redis) -> None:
    before = an_index()
    put(store, before, {"auto:1": entry(score=1)})
    after = Index(
        before.area, patterns=(*before.patterns, ("colour",)), sorts=before.sorts, domains=before.domains,
        lookups=("owner", "tag"),
    )  # fmt: skip
    assert after.settle(store, {"auto:1": entry(score=1)}) == 1
    assert after.page(store, {"colour": ["red"]}, "score", 5).members == ("auto:1",)
    assert after.settle(store, {"auto:1": entry(score=1)}) == 0


# -- evicting


def test_an_evicted_member_is_gone_from_the_list_it_was_read_from(store: Redis) -> None:
    index = an_index()
    put(store, index, {"a:1": entry(score=1, owner="A1"), "a:2": entry(score=2, owner="A1")})
    index.evict(store, ["a:1"], {"branch": ["dallas"]})
    assert index.page(store, {"branch": ["dallas"]}, "score", 5).members == ("a:2",)
    assert index.page(store, {"branch": ["dallas"]}, "other", 5).members == ("a:2",), "in every order"
    assert index.page(store, {"owner": ["A1"]}, "score", 5).members == ("a:1", "a:2"), (
        "other lists judge for themselves"
    )


def test_a_list_asked_for_by_facets_no_pattern_has_together_is_an_intersection_and_leaves_nothing(store: Redis) -> None:
    index = an_index()
    put(store, index, {"a:1": entry(1, tag="x"), "a:2": entry(2, tag="y"), "a:3": entry(3, tag="x", branch="houston")})
    assert index.page(store, {"branch": ["dallas"], "tag": ["x"]}, "score", 5).members == ("a:1",)
    assert store.keys("dash:scratch:*") == []


def test_a_facet_the_index_does_not_know_is_a_mistake_in_the_code(store: Redis) -> None:
    with pytest.raises(LookupError):
        an_index().page(store, {"branch": ["dallas"], "shape": ["round"]}, "score", 5)


def test_a_list_restricted_to_nothing_is_empty(store: Redis) -> None:
    index = an_index()
    put(store, index, {"a:1": entry()})
    assert index.page(store, {"branch": []}, "score", 5) == Slice((), (), 0, 0, None, None)
    assert index.count(store, [({"branch": []}, "score", None, None)]) == [0]


def test_counts_of_many_lists_come_in_one_go(store: Redis) -> None:
    index = an_index()
    put(store, index, {f"a:{number}": entry(score=number, colour=COLOURS[number % 2]) for number in range(10)})
    everything, red = {"branch": ["dallas"]}, {"branch": ["dallas"], "colour": ["red"]}
    queries: list[Any] = [(everything, "score", None, None), (red, "score", None, None), (everything, "score", 3, 5)]
    assert index.count(store, queries) == [10, 5, 3]


# -- cursors and scores


@given(
    score=st.integers(-(10**16), 10**16), member=st.from_regex(r"[^\s]{1,200}", fullmatch=True), before=st.booleans()
)
def test_a_cursor_comes_back_from_its_address(score: int, member: str, before: bool) -> None:
    cursor = Cursor(float(score), member, before)
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text() | st.none())
def test_any_text_is_a_cursor_or_none(text: str | None) -> None:
    parsed = Cursor.parse(text)
    assert parsed is None or isinstance(parsed.score, float)


def test_numbers_sort_as_people_sort_them_and_what_is_no_number_comes_last() -> None:
    assert number_score("99") < number_score("100001") < number_score("abc")
    assert number_score("Q009") < number_score("Q010")
    assert number_score("9" * 30) < NEVER


class _Recorded:
    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []

    def record(self, *command: Any) -> None:
        self.commands.append(command)


# -- a slow look at a thing, while somebody changes it


class Moved:
    """A thing whose truth is one string, its colour; whoever changes it places it in the same transaction."""

    def __init__(self, store: Redis) -> None:
        self.store, self.index = store, an_index()
        self.slow = 0.0

    def change(self, member: str, colour: str) -> None:
        def action(draft: Change) -> None:
            draft.watch(f"truth:{member}")
            known = self.index.known_places(draft.client, [member])[member]
            draft.set(f"truth:{member}", colour)
            self.index.put(draft, member, entry(colour=colour), known)

        change(action)

    def read(self, members: Sequence[str]) -> dict[str, Entry]:
        found = zip(members, self.store.mget([f"truth:{member}" for member in members]), strict=True)
        time.sleep(self.slow)
        return {member: entry(colour=colour) for member, colour in found if colour}

    def follow(self, members: Sequence[str]) -> None:
        self.index.follow(self.store, members, self.read)

    def settle(self, members: Sequence[str]) -> None:
        """The plain way: look, then write."""
        self.index.settle(self.store, self.read(members))

    def stands(self, member: str) -> dict[str, list[str]]:
        """The colours under which the index lists it, and its truth."""
        pages = {c: self.index.page(self.store, {"branch": BRANCHES, "colour": [c]}, "score", 100) for c in COLOURS}
        listed = [colour for colour, page in pages.items() if member in page.members]
        return {"listed": listed, "true": [self.store.get(f"truth:{member}") or ""]}

    def rounds(self, count: int, look: Callable[[Sequence[str]], None]) -> int:
        """How often the index lists something else than what is true, where a change meets a slow look."""
        self.slow, wrong = 0.003, 0
        for at in range(count):
            member, gate = f"a:{at}", threading.Barrier(2)
            self.change(member, COLOURS[0])

            def write(member: str = member, gate: threading.Barrier = gate) -> None:
                gate.wait()
                time.sleep(0.001)
                self.change(member, COLOURS[1])

            def refresh(member: str = member, gate: threading.Barrier = gate) -> None:
                gate.wait()
                look([member])

            threads = [threading.Thread(target=write), threading.Thread(target=refresh)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found = self.stands(member)
            wrong += found["listed"] != found["true"]
        return wrong


def test_a_slow_look_puts_no_older_place_over_a_newer_one(store: Redis) -> None:
    moved = Moved(store)
    assert moved.rounds(60, moved.follow) == 0


def test_the_plain_way_puts_an_older_place_over_a_newer_one(store: Redis) -> None:
    moved = Moved(store)
    wrong = moved.rounds(60, moved.settle)
    print(f"The plain way left {wrong} of 60 things where they had been before.")
    assert wrong > 0


def test_a_large_slice_comes_to_its_end_while_neighbours_keep_changing(store: Redis) -> None:
    moved, stop = Moved(store), threading.Event()
    members = [f"a:{number}" for number in range(90)]
    for member in members:
        store.set(f"truth:{member}", COLOURS[0])
    moved.slow = 0.001

    def churn() -> None:
        turn = itertools.cycle(COLOURS)
        while not stop.is_set():
            moved.change("a:99", next(turn))

    thread = threading.Thread(target=churn)
    thread.start()
    moved.follow(members)
    stop.set()
    thread.join()
    assert moved.index.count(store, [({"branch": BRANCHES, "colour": [COLOURS[0]]}, "score", None, None)])[0] >= 90
    assert all(moved.index.known_places(store, members).values())


def test_whom_nobody_finds_is_taken_out_and_nobody_is_no_question(store: Redis) -> None:
    moved = Moved(store)
    moved.change("a:1", COLOURS[0])
    store.delete("truth:a:1")
    moved.follow(["a:1"])
    moved.follow([])
    assert moved.stands("a:1")["listed"] == [] and moved.index.known_places(store, ["a:1"]) == {"a:1": None}


def test_a_cursor_at_the_only_row_that_is_left_leads_to_it(store: Redis) -> None:
    index = an_index()
    facets = {"branch": "", "colour": "red", "owner": "", "tag": ""}
    put(store, index, {"a:5": Entry(facets=facets, scores={"score": 0, "other": 0})})
    page = index.page(store, {"branch": [""]}, "score", 1, cursor=Cursor(0, "a:5"))
    assert page.members == ("a:5",)
