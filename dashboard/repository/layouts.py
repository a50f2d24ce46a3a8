"""The two layouts of a policy, strings and one hash: what each takes, and turning one into the other.

From the customer's document, lines 312-326. Measured fairly: equal fields, under names as long as the policies' own, by
the server itself. MEMORY USAGE counts a key's name, value and entry; the tables that hold the entries it leaves out.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from redis import Redis

from dashboard import clock, keys, redis
from dashboard.errors import Conflict, NotFound
from dashboard.repository import agents, audit, jobs
from dashboard.repository.agents import Scope
from dashboard.repository.policies import INDEX, Layout
from dashboard.repository.store import Change, change
from dashboard.repository.values import answered

CONVERT = "convert policies"
LAYOUTS: tuple[Layout, ...] = ("strings", "hash")
FEWEST, MOST = 10, 5_000
"""Policies of a sample."""
SLICE = 20
"""Policies measured in one transaction: some 500 short commands."""
LOOK = 500
"""Names asked for in one step of the walk that looks for what is to be converted."""
KEPT = 7 * clock.DAY

Facts = Mapping[str, str]

_ANSWERS = 5 + len(keys.POLICY_FIELDS)
"""What is asked of each policy as it stands."""


@dataclass(frozen=True)
class Measured:
    """The sample of one product. `strings` and `hash`: bytes of all of it in either layout. `as_hash`: how many of it
    are kept so now; `tables`: how many of its hashes the server keeps as a table, because they hold a long text. `book`:
    policies of the product in all.
    """

    product: str
    policies: int
    fields: int
    strings: int
    hash: int
    as_hash: int
    tables: int
    book: int

    @property
    def each(self) -> tuple[float, float]:
        """Bytes of one policy as strings and as a hash, on average."""
        return self.strings / self.policies, self.hash / self.policies

    @property
    def saves(self) -> int:
        """Bytes that converting what is kept as strings would save, if the book is like its sample. Below zero: costs."""
        as_strings, as_hash = self.each
        share = 1 - self.as_hash / self.policies
        return round(self.book * share * (as_strings - as_hash))


@dataclass(frozen=True)
class Comparison:
    """When and by whom the layouts were compared, and what came of it for each product that was asked for."""

    at: datetime
    by: str
    rows: tuple[Measured, ...]

    @property
    def policies(self) -> int:
        return sum(row.policies for row in self.rows)

    @property
    def book(self) -> int:
        return sum(row.book for row in self.rows)

    @property
    def saves(self) -> int:
        return sum(row.saves for row in self.rows)


# -- comparing


def latest(client: Redis) -> Comparison | None:
    """The comparison made last, if it is still kept. One round trip."""
    text = answered(client.pipeline(transaction=False).get(keys.layout_comparison()))[0]
    try:
        kept = json.loads(text or "")
        rows = tuple(Measured(**row) for row in kept["rows"])
        sound = all(isinstance(value, int) and value >= 0 for row in kept["rows"] for value in list(row.values())[1:])
        if not sound or not all(row.product in keys.PRODUCTS and row.policies for row in rows):
            return None
        return Comparison(clock.moment(kept["at"]), str(kept["by"]), rows)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # none was made, or another tool wrote there


def compare(product: str | None, size: int, *, by: str, token: str | None = None) -> int:
    """Measure both layouts over `size` policies of the product, or of all in the proportions of the book, and keep what
    comes of it. Gives how many were measured. A round trip or two for each SLICE. Raises Conflict when there are none.
    """
    client = redis.client()
    rows = []
    for each, (book, members) in _sample(client, product, size).items():
        found = _measured(client, each, members)
        if found["policies"]:
            rows.append(Measured(product=each, book=max(book, found["policies"]), **found))
    if not rows:
        raise Conflict("There is no policy to measure.")

    def action(draft: Change) -> int:
        at = clock.now_ms()
        kept = {"at": at, "by": by, "rows": [asdict(row) for row in rows]}
        draft.set_until(keys.layout_comparison(), json.dumps(kept), at + KEPT)
        draft.event("server")
        return sum(row.policies for row in rows)

    return change(action, token=token)


def _sample(client: Redis, product: str | None, size: int) -> dict[str, tuple[int, list[str]]]:
    """Policies at random, as many from each branch as it has its share of: how many there are, and the chosen, by
    product. Two round trips.
    """
    branches = agents.directory(client).visible(Scope())
    cells = [
        (each, INDEX.key(INDEX.cell(branch=branch, product=each), "number"))
        for each in ([product] if product else keys.PRODUCTS)
        for branch in branches
    ]
    pipe = client.pipeline(transaction=False)
    for _, cell in cells:
        pipe.zcard(cell)
    counts = [count or 0 for count in answered(pipe)]
    total = sum(counts) or 1
    pipe = client.pipeline(transaction=False)
    for (_, cell), count in zip(cells, counts, strict=True):
        pipe.zrandmember(cell, min(count, -(-size * count // total)))
    found: dict[str, tuple[int, list[str]]] = {}
    for (each, _), count, chosen in zip(cells, counts, answered(pipe), strict=True):
        book, members = found.get(each, (0, []))
        found[each] = book + count, [*members, *(chosen or [])]
    return found


def _measured(client: Redis, product: str, members: Sequence[str]) -> dict[str, int]:
    total = {"policies": 0, "fields": 0, "strings": 0, "hash": 0, "as_hash": 0, "tables": 0}
    numbered = keys.numbered(members)
    for start in range(0, len(numbered), SLICE):
        standing = _standing(client, [(each, number) for _, each, number in numbered[start : start + SLICE]])
        sound = [found for found in standing if found.facts and found.product == product]
        for found, (strings, hashed, table) in zip(sound, weigh(client, sound), strict=True):
            total["policies"] += 1
            total["fields"] += len(found.facts)
            total["strings"] += strings
            total["hash"] += hashed
            total["as_hash"] += found.layout == "hash"
            total["tables"] += table
    return total


def weigh(client: Redis, policies: Sequence[Standing]) -> list[tuple[int, int, bool]]:
    """Bytes as strings, bytes as a hash, and whether that hash is a table, of each. Both layouts are made under names of
    ours as long as the policies' own, measured and removed, within one transaction: nobody else ever sees them, and
    nothing of them stays, whatever happens. One round trip.
    """
    pipe = client.pipeline(transaction=True)
    for policy in policies:
        names = {
            keys.measured_field(policy.product, policy.number, field): text for field, text in policy.facts.items()
        }
        root = keys.measured_policy(policy.product, policy.number)
        for name, text in names.items():
            pipe.set(name, text)
            pipe.memory_usage(name, samples=0)
        pipe.hset(root, mapping=dict(policy.facts))
        pipe.memory_usage(root, samples=0)
        pipe.object("ENCODING", root)
        pipe.delete(root, *names)
    answers = iter(pipe.execute() if policies else [])
    found = []
    for policy in policies:
        strings = sum(next(answers) for _ in policy.facts for _ in [next(answers)])
        next(answers)
        hashed, encoding = next(answers), next(answers)
        next(answers)
        found.append((strings, hashed, encoding == "hashtable"))
    return found


# -- as they stand


@dataclass(frozen=True)
class Standing:
    """A policy as its keys are: in which layout (None: in neither), its facts there, and why it cannot be converted."""

    product: str
    number: str
    layout: Layout | None
    facts: Facts
    trouble: str = ""


def _standing(client: Redis, policies: Sequence[tuple[str, str]]) -> list[Standing]:
    """One transaction, so that no policy is seen between its layouts; one round trip."""
    pipe = client.pipeline(transaction=True)
    for product, number in policies:
        root, *names = keys.policy_keys(product, number)
        pipe.mget(names)
        pipe.exists(*names)
        pipe.type(root)
        pipe.hgetall(root)
        for name in (root, *names):
            pipe.pttl(name)
    answers = iter(pipe.execute(raise_on_error=False))
    return [_stands(product, number, *(next(answers) for _ in range(_ANSWERS))) for product, number in policies]


def _stands(product: str, number: str, texts: Any, there: Any, kind: Any, hashed: Any, *lives: Any) -> Standing:
    strings = {field: text for field, text in zip(keys.POLICY_FIELDS, texts, strict=True) if text is not None}
    trouble = ""
    if there != len(strings):
        trouble = "One of its keys holds another type than a string; it has to be mended first."
    elif kind not in ("none", "hash"):
        trouble = f"{keys.policy(product, number)} holds a {kind} where a hash belongs; it has to be mended first."
    elif strings and kind == "hash":
        trouble = "It is kept in both layouts, and which of them is true nobody can tell; one has to be removed first."
    elif any(left >= 0 for left in lives):
        trouble = "One of its keys has a lifetime, which the other layout could not keep; persist it first."
    if strings:
        return Standing(product, number, "strings", strings, trouble)
    if kind == "hash":
        return Standing(product, number, "hash", hashed, trouble)
    return Standing(product, number, None, {}, trouble)


# -- converting


def convert(product: str, number: str, layout: Layout, *, token: str | None = None) -> str:
    """Keep a policy in this layout from now on: all of it in one transaction, undone if anybody changes any of it
    meanwhile. Gives a word for the report. Raises NotFound; Conflict where something would be lost.

    No fact changes, so neither index nor relations do. Four round trips.
    """

    def action(draft: Change) -> str:
        root, *names = keys.policy_keys(product, number)
        draft.watch(root, *names)
        (found,) = _standing(draft.client, [(product, number)])
        if found.trouble:
            raise Conflict(found.trouble)
        if found.layout is None:
            raise NotFound("It is gone.")
        if found.layout == layout:
            return "as it was"
        if layout == "hash":
            draft.delete(*(keys.policy_field(product, number, field) for field in found.facts))
            draft.record("HSET", root, *(part for pair in found.facts.items() for part in pair))
        else:
            _only_known(found.facts)
            draft.delete(root)
            for field, text in found.facts.items():
                draft.set(keys.policy_field(product, number, field), text)
        return "converted"

    return change(action, token=token)


def _only_known(facts: Facts) -> None:
    """A hash may hold what has no key of its own: as strings nobody would find it again."""
    foreign = sorted(set(facts) - set(keys.POLICY_FIELDS))
    if foreign:
        raise Conflict(
            f"Its hash has a field of another tool ({foreign[0][:40]}) that no key of a policy is named after."
        )


# -- the whole book, as bulk work


def gather(product: str | None, layout: Layout, *, by: str, token: str | None = None) -> str:
    """Look for the policies, of one product or all, that are not in this layout yet; what is found is previewed, and
    converted once somebody says so. Gives the job's id.
    """
    what = f"{product.title()} policies" if product else "All policies"
    title = f"{what}: from {'strings to hashes' if layout == 'hash' else 'hashes to strings'}"
    params = {"layout": layout, "product": product or "", "batch": secrets.token_hex(8)}
    return jobs.gather(CONVERT, params, by=by, title=title, token=token)


def _gather(client: Redis, cursor: int, params: Mapping[str, str]) -> tuple[int, list[str], int]:
    """One small step over all keys. Three round trips."""
    cursor, names = client.scan(cursor, count=LOOK)  # type: ignore[misc]
    begins = keys.policy.pattern.partition("{")[0]
    parsed = [found for name in dict.fromkeys(names) if name.startswith(begins) and (found := keys.parse(name))]
    wanted = [found for found in parsed if params["product"] in ("", found.parts.get("product"))]
    if params["layout"] == "strings":
        return cursor, [found.subject or "" for found in wanted if found.family is keys.policy], len(names)
    fields = [found for found in wanted if found.family is keys.policy_field]
    return cursor, _first_of_each(client, fields), len(names)


def _first_of_each(client: Redis, fields: Sequence[keys.Parsed]) -> list[str]:
    """A policy of many keys is found once, by the first of them that it has: `details`, but for a few. Two round trips."""
    first = keys.POLICY_FIELDS[0]
    found = [each.subject or "" for each in fields if each.parts["field"] == first]
    others = [each for each in fields if each.parts["field"] != first]
    heads = {each.subject: keys.policy_field(each.parts["product"], each.parts["number"], first) for each in others}
    headed = dict(zip(heads, _counts(client, [[name] for name in heads.values()]), strict=True))
    headless = [each for each in others if not headed[each.subject]]
    before = []
    for each in headless:
        _, *names = keys.policy_keys(each.parts["product"], each.parts["number"])
        before.append(names[: keys.POLICY_FIELDS.index(each.parts["field"])])
    earlier = _counts(client, before)
    return found + [each.subject or "" for each, count in zip(headless, earlier, strict=True) if not count]


def _counts(client: Redis, names: Sequence[Sequence[str]]) -> list[int]:
    """How many of each of these exist. One round trip."""
    pipe = client.pipeline(transaction=False)
    for each in names:
        pipe.exists(*each)
    return pipe.execute() if names else []


def _step(member: str, params: Mapping[str, str], by: str, token: str) -> str:
    product, _, number = member.partition(":")
    if product not in keys.PRODUCTS or not keys.is_identifier(number):
        raise NotFound(f"{member} is no policy.")
    layout: Layout = "hash" if params["layout"] == "hash" else "strings"
    _on_record(params["batch"], layout, by)
    return convert(product, number, layout, token=token)


def _on_record(batch: str, layout: Layout, by: str) -> None:
    """One audit record for all of a batch, before the first of it: no fact of any policy changes, and a record for each
    would take more memory than the conversion saves.
    """

    def action(draft: Change) -> None:
        audit.append(draft, keys.key_audit, batch, text=f"Policies converted to {layout} in bulk by {by}", by=by)

    change(action, token=hashlib.sha256(f"{CONVERT}\n{batch}".encode()).hexdigest()[:40])


jobs.register_work(CONVERT, jobs.Work(step=_step, gather=_gather))
