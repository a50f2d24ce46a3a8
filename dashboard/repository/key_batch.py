"""Bulk work over the key space: lifetimes by family and filter, clean-up of test data, and the linter's fixes. Each looks
for its members by a slow walk, shows them, and is then done in slices of what was seen.

The document's scripts (lines 329-355) do it with KEYS in one go: everybody waits, keys are counted instead of quotes,
what should end is lengthened without limit, and more than 8,000 names are too many for one DEL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from redis import Redis

from dashboard import clock, keys, redis
from dashboard.errors import Conflict
from dashboard.keys import CATALOGUE, Family, Parsed
from dashboard.repository import audit, families, jobs, linter, one_key, quotes
from dashboard.repository.one_key import fingerprints
from dashboard.repository.store import Change, change

SLICE = 200
"""Keys that are changed in one transaction."""
LOOK = 250
"""Names asked for in one step of the walk."""
PREFIXES = ("test:", "temp:")
"""What test data is called, exactly: a name that has these words further on is somebody's (claim:temp is)."""

VERBS = ("extend", "shorten", "persist")
CHANGED = "it has changed since it was seen"
GONE = "it is over"


# -- which families


def families_offered() -> list[tuple[str, Family]]:
    """Those whose lifetimes can be changed in bulk: things by their root, and what stands alone. Not what should stay, not
    what would show a secret, and nothing of the audit trail.
    """
    return [(name, family) for name, family in CATALOGUE.items() if _may(family)]


def _may(family: Family) -> bool:
    named = Parsed(family, {})
    if family.lives is None or family in families.ROOTS or family.pattern.startswith("dash:"):
        return False
    return not (families.has_secret_name(named) or families.is_kept(named))


def may_persist(family: Family) -> bool:
    """Quotes, sessions, locks and counts of failures must end: nothing here makes them immortal."""
    return family.area not in ("quotes", "sessions", "security")


# -- lifetimes, by family and filter


def gather_lifetimes(params: Mapping[str, str], *, by: str, title: str, token: str | None = None) -> str:
    """Look for the keys of `family` whose time left is from `low` to `high` ms and whose name has the wanted parts
    (`product`, `holds`). `verb` is what is then done, by or to `ms`. Gives the job's id. Raises Conflict.
    """
    family = CATALOGUE.get(params["family"])
    if family is None or not _may(family):
        raise Conflict("Lifetimes of this family are not changed in bulk.")
    if params["verb"] == "persist" and not may_persist(family):
        raise Conflict("Keys of this family have to end: sessions, locks and quotes never get immortal here.")
    if family is keys.quote and params["verb"] != "extend":
        raise Conflict("A quote is only ever extended, by its own lifetime. End one on its own page.")
    kind = "extend_quotes_found" if family is keys.quote else "lifetimes"
    return jobs.gather(kind, params, by=by, title=title, token=token)


def _fits(name: str, end: int, family: Family, params: Mapping[str, str], now: int) -> bool:
    parsed = keys.parse(name)
    if parsed is None or parsed.family is not family or end <= 0:
        return False
    wanted = params.get("product")
    if wanted and parsed.parts.get("product") != wanted:
        return False
    if params.get("holds") and params["holds"] not in name:
        return False
    low, high = int(params.get("low") or 0), int(params.get("high") or 0)
    return end - now >= low and (not high or end - now <= high)


def _walk(client: Redis, cursor: int, wanted: Callable[[str], bool]) -> tuple[int, list[str], int]:
    """One small step over all keys: those that are wanted by their names. One round trip."""
    cursor, names = client.scan(cursor, count=LOOK)  # type: ignore[misc]
    return cursor, [name for name in dict.fromkeys(names) if wanted(name)], len(names)


def _gather_lifetimes(client: Redis, cursor: int, params: Mapping[str, str]) -> tuple[int, list[str], int]:
    family, now = CATALOGUE[params["family"]], clock.now_ms()
    cursor, names, looked = _walk(client, cursor, lambda name: _is_of(name, family))
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.pexpiretime(name)
    ends = pipe.execute() if names else []
    found = [name for name, end in zip(names, ends, strict=True) if _fits(name, end, family, params, now)]
    return cursor, found, looked


def _gather_quotes(client: Redis, cursor: int, params: Mapping[str, str]) -> tuple[int, list[str], int]:
    """By quote, not by key: their ids, told by their roots."""
    cursor, names, looked = _gather_lifetimes(client, cursor, params)
    return cursor, [parsed.subject or "" for name in names if (parsed := keys.parse(name))], looked


def _is_of(name: str, family: Family) -> bool:
    parsed = keys.parse(name)
    return parsed is not None and parsed.family is family


def _change_lifetimes(members: Sequence[str], params: Mapping[str, str], by: str, token: str) -> dict[str, str]:
    """One slice in one transaction: each key, with all of its thing. What no longer fits is left as it is."""
    family, verb, ms = CATALOGUE[params["family"]], params["verb"], int(params.get("ms") or 0)

    def action(draft: Change) -> dict[str, str]:
        things = {name: _all_of(name) for name in members}
        every = [each for names in things.values() for each in names]
        draft.watch(*every)
        pipe = draft.client.pipeline(transaction=False)
        for each in every:
            pipe.pexpiretime(each)
        ends = dict(zip(every, pipe.execute(), strict=True))
        failed, now = {}, clock.now_ms()
        for name, names in things.items():
            why, deadline = _turned(ends[name], verb, ms, family, now)
            fits = _fits(name, ends[name], family, params, now)
            if why or not fits:
                failed[name] = why or CHANGED
                continue
            there = [each for each in names if ends[each] != -2]
            if verb == "persist":
                draft.persist(*there)
            else:
                draft.expire_at(deadline, *there)
        _record(draft, f"{_DONE[verb]} in bulk", [name for name in members if name not in failed], by, token)
        return failed

    return change(action, token=token)


_DONE = {"extend": "Extended", "shorten": "Shortened", "persist": "Made permanent"}


def _all_of(name: str) -> list[str]:
    parsed = keys.parse(name)
    return list(dict.fromkeys([name, *(families.whole(parsed) if parsed else ())]))


def _turned(end: int, verb: str, ms: int, family: Family, now: int) -> tuple[str, int]:
    """Why a key with this end is left as it is, or "", and its new deadline. Extending never goes beyond the longest
    lifetime of the family; shortening never lengthens.
    """
    if end == -2:
        return GONE, 0
    if end == -1:
        return "it has no end", 0
    if verb == "persist":
        return "", 0
    if verb == "shorten":
        return ("it ends sooner already", 0) if end <= now + ms else ("", now + ms)
    cap = now + (family.lives or (0, 0))[1] * clock.SECOND
    return ("it lives as long as its family may", 0) if end >= cap else ("", min(end + ms, cap))


def _extend_quote(member: str, params: Mapping[str, str], by: str, token: str) -> str:
    product, _, number = member.partition(":")
    quotes.extend(product, number, by=by, limit=quotes.EXTENSIONS, token=token)
    return "extended"


# -- test data


def gather_cleanup(*, by: str, token: str | None = None) -> str:
    """Look for test data: names that begin with `test:` or `temp:`, and with nothing else. Gives the job's id."""
    return jobs.gather("cleanup", {}, by=by, title="Delete test data", token=token)


def is_test_data(name: str) -> bool:
    return name.startswith(PREFIXES) and keys.parse(name) is None


def _gather_cleanup(client: Redis, cursor: int, params: Mapping[str, str]) -> tuple[int, list[str], int]:
    """Each with a digest of what it is, so that only just that is deleted."""
    cursor, names, looked = _walk(client, cursor, is_test_data)
    seen = fingerprints(client, names)
    return cursor, [f"{seen[name]} {name}" for name in names if seen[name]], looked


def _clean_up(members: Sequence[str], params: Mapping[str, str], by: str, token: str) -> dict[str, str]:
    seen = {name: digest for digest, _, name in (member.partition(" ") for member in members)}

    def action(draft: Change) -> dict[str, str]:
        draft.watch(*seen)
        now = fingerprints(draft.client, list(seen))
        same = [name for name in seen if now[name] == seen[name] and is_test_data(name)]
        draft.delete(*same)
        _record(draft, "Deleted as test data", same, by, token)
        left = {name: GONE if not now[name] else CHANGED for name in seen if name not in same}
        return {f"{seen[name]} {name}": why for name, why in left.items()}

    return change(action, token=token)


def _name_in(member: str) -> str:
    return one_key.shown(member.partition(" ")[2])


# -- the linter's fixes


def preview_fix(rule: str, names: Sequence[str], *, by: str) -> str:
    """Put these keys right, of those that break the rule still. Gives the job's id. Raises Conflict for none."""
    found = list(linter.found_in(redis.client(), list(dict.fromkeys(names)), rule))
    if not found:
        raise Conflict("Nothing is to be put right here any more, or nothing here can do it.")
    return jobs.preview("fix_keys", found, {"rule": rule}, by=by, title=_fix_title(rule))


def gather_fix(rule: str, *, by: str, token: str | None = None) -> str:
    """Look for all keys that break the rule and can be put right."""
    if not linter.RULES[rule].fix:
        raise Conflict("What to do about these is for somebody to decide, one by one.")
    return jobs.gather("fix_keys", {"rule": rule}, by=by, title=_fix_title(rule), token=token)


def _fix_title(rule: str) -> str:
    return f"Put right: {linter.RULES[rule].title[0].lower()}{linter.RULES[rule].title[1:]}"


def _gather_broken(client: Redis, cursor: int, params: Mapping[str, str]) -> tuple[int, list[str], int]:
    cursor, names, looked = _walk(client, cursor, lambda name: True)
    return cursor, list(linter.found_in(client, names, params["rule"])), looked


def _fix(member: str, params: Mapping[str, str], by: str, token: str) -> str:
    """Put one key right, if it breaks the rule still: it and its root are watched before they are judged."""

    def action(draft: Change) -> str:
        parsed = keys.parse(member)
        names = _all_of(member)
        root = families.root_of(parsed) if parsed else None
        draft.watch(member, *([root] if root else names))
        claim = parsed.parts.get("claim") if parsed else None
        if claim:
            draft.watch(keys.claim_field(claim, "status"))
        now = clock.now_ms()
        facts = linter.facts(draft.client, [member])
        if not facts or linter.judged(facts[0], now) != params["rule"]:
            raise Conflict("it is in order by now, or gone")
        remedy = linter.remedy(draft.client, facts[0], params["rule"], now)
        if remedy is None:
            raise Conflict("nothing here can put it right")
        # A root takes its parts along: to end together is what makes them one thing.
        concerned = [member] if root else [each.name for each in linter.facts(draft.client, names)]
        if remedy.verb == "delete":
            draft.delete(member)
        elif remedy.verb == "persist":
            draft.persist(*concerned)
        else:
            draft.expire_at(remedy.deadline or 0, *concerned)
        what = linter.RULES[params["rule"]].title.lower()
        after = "" if remedy.deadline is None else f", to end {clock.iso(clock.moment(remedy.deadline))}"
        text = f"{one_key.shown(member)} put right ({what}{after}) by {by}"
        audit.append(draft, keys.key_audit, one_key.digest_of_name(member), text=text, by=by)
        draft.event("keyspace")
        return remedy.verb

    return change(action, token=token)


# -- on record


def _record(draft: Change, what: str, names: Sequence[str], by: str, token: str) -> None:
    """One record for a slice: how many, and the first and last of them."""
    if names:
        first, last = one_key.shown(names[0]), one_key.shown(names[-1])
        told = first if len(names) == 1 else f"{len(names)} keys, {first} to {last}"
        audit.append(draft, keys.key_audit, token[:24], text=f"{what}: {told} by {by}", by=by)
        draft.event("keyspace")


jobs.register_work(
    "lifetimes", jobs.Work(bulk=_change_lifetimes, gather=_gather_lifetimes, shown=one_key.shown, size=SLICE)
)
jobs.register_work("extend_quotes_found", jobs.Work(step=_extend_quote, gather=_gather_quotes))
jobs.register_work("cleanup", jobs.Work(bulk=_clean_up, gather=_gather_cleanup, shown=_name_in, size=SLICE))
jobs.register_work("fix_keys", jobs.Work(step=_fix, gather=_gather_broken, shown=one_key.shown))
