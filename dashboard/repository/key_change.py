"""Changing one key, or the whole thing that it is a part of: another end, none, or its deletion. What would happen is said
first; what is done is what was said, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Conflict, Expired
from dashboard.keys import Parsed
from dashboard.repository import audit, families, holds, one_key
from dashboard.repository.one_key import digest_of, digest_of_name, fingerprints
from dashboard.repository.store import Change, change

Verb = Literal["until", "persist", "delete"]
VERBS: tuple[Verb, ...] = ("until", "persist", "delete")
LONGEST = 100 * 365 * clock.DAY
"""ms that an end may be away."""


@dataclass(frozen=True)
class Plan:
    """What would happen. `keys`: (name, its deadline now) of all that it would happen to, in Unix ms; `deadline`: the one
    they would get; `others`: how many more keys the thing has that are left as they are; `seen`: a digest of what was
    looked at. `refusal`: why it is not done, "" where it is.
    """

    name: str
    verb: Verb
    whole: bool
    keys: tuple[tuple[str, int | None], ...]
    deadline: int | None
    others: int
    warnings: tuple[str, ...]
    refusal: str
    seen: str

    @property
    def shown(self) -> list[tuple[str, int | None]]:
        return [(one_key.shown(name), deadline) for name, deadline in self.keys]


def plan(client: Redis, name: str, verb: Verb, *, whole: bool = False, deadline: int | None = None) -> Plan:
    """Look at what would happen to this key, or with `whole` to all keys of its thing. Four round trips. Raises Expired."""
    parsed = keys.parse(name)
    together = families.whole(parsed) if parsed else []
    names = list(dict.fromkeys([name, *together]))
    pipe = client.pipeline(transaction=False)
    for each in names:
        pipe.pexpiretime(each)
    ends = {each: end for each, end in zip(names, pipe.execute(), strict=True) if end != -2}
    if name not in ends:
        raise Expired(f"{one_key.shown(name)} is gone.")
    concerned = list(ends) if whole else [name]
    found = tuple((each, ends[each] if ends[each] > 0 else None) for each in concerned)
    return Plan(
        name=name,
        verb=verb,
        whole=whole and len(together) > 1,
        keys=found,
        deadline=deadline if verb == "until" else None,
        others=0 if whole else len(ends) - 1,
        warnings=tuple(_warnings(parsed, verb, deadline, len(ends) - len(concerned))),
        refusal=_held(client, concerned) or _refusal(parsed, verb, found, deadline),
        seen=digest_of(fingerprints(client, concerned)),
    )


def act(
    name: str,
    verb: Verb,
    *,
    seen: str,
    by: str,
    whole: bool = False,
    deadline: int | None = None,
    token: str | None = None,
) -> str:
    """Do it, audited, if the keys are what was seen (the plan's `seen`): type, deadline and value. Gives what was done, in
    words. Raises Conflict where something changed since, or it is not allowed; Expired.

    The keys are watched before they are looked at again, so nothing comes between the look and the change.
    """

    def action(draft: Change) -> str:
        parsed = keys.parse(name)
        draft.watch(name, *(families.whole(parsed) if parsed and whole else ()))
        found = plan(draft.client, name, verb, whole=whole, deadline=deadline)
        if found.refusal:
            raise Conflict(found.refusal)
        if found.seen != seen:
            raise Conflict(f"{one_key.shown(name)} has changed since you looked. Nothing was done: look again.")
        names = [each for each, _ in found.keys]
        if verb == "delete":
            draft.delete(*names)
        elif verb == "persist":
            draft.persist(*names)
        else:
            draft.expire_at(deadline or 0, *names)
        told = _told(found)
        audit.append(draft, keys.key_audit, digest_of_name(name), text=f"{told} by {by}", by=by)
        draft.event("keyspace")
        return told

    return change(action, token=token)


def history(client: Redis, name: str) -> list[audit.Record]:
    """What was done to this key here, newest first. Two round trips."""
    return audit.history(client, keys.key_audit, digest_of_name(name), limit=20)


def _told(found: Plan) -> str:
    what = one_key.shown(found.name) + (f" and {len(found.keys) - 1} more of its thing" if len(found.keys) > 1 else "")
    before = "no end" if found.keys[0][1] is None else clock.iso(clock.moment(found.keys[0][1]))
    if found.verb == "delete":
        return (
            f"{what} deleted (it had {before})"
            if before == "no end"
            else f"{what} deleted (it would have ended {before})"
        )
    after = "no end" if found.deadline is None else clock.iso(clock.moment(found.deadline))
    return f"{what}: lifetime changed from {before} to {after}"


def _held(client: Redis, names: list[str]) -> str:
    return "A legal hold keeps it as it is, until the hold is released." if holds.held(client, names) else ""


def _refusal(parsed: Parsed | None, verb: Verb, found: tuple[tuple[str, int | None], ...], deadline: int | None) -> str:
    if families.has_secret_name(parsed):
        return "Codes, tokens and signed-in browsers are taken back on the security and sessions pages, where they are masked."
    if families.is_record(parsed):
        return "It is part of the audit trail, which is only read here. A legal hold keeps a record beyond its end."
    if verb == "delete" and families.is_kept(parsed):
        return "Nothing here deletes this: it is kept for good, and in no other place."
    if verb == "until":
        if deadline is None or deadline <= clock.now_ms():
            return "Give an end that is still to come."
        if deadline > clock.now_ms() + LONGEST:
            return "Give an end within the next hundred years."
        if families.is_kept(parsed):
            return "What is kept for good gets no end."
    if verb == "persist" and all(end is None for _, end in found):
        return "It has no end already."
    if verb != "delete" and parsed and parsed.family in families.OF_QUOTES:
        return "A quote is extended whole, on its own page: by its own lifetime, and no more often than is allowed."
    return ""


def _warnings(parsed: Parsed | None, verb: Verb, deadline: int | None, others: int) -> list[str]:
    if parsed is None:
        return (
            ["The catalogue does not know this name: nobody here can tell what reads it."] if verb == "delete" else []
        )
    said, lives = [], parsed.family.lives
    if others and verb != "delete":
        keys_of = "1 other key" if others == 1 else f"{others} other keys"
        said.append(
            f"It is part of one thing with {keys_of}, and they share a deadline. Changing it alone splits the thing."
        )
    if others and verb == "delete" and families.root_of(parsed) is None:
        said.append(f"It is the root of a thing: its {others} other keys stay behind as ghosts.")
    if verb == "persist" and lives is not None:
        said.append("Keys of this family should end. The linter will find it.")
    if verb == "until" and lives is None:
        said.append("Keys of this family are permanent. It will be gone when its time is over.")
    if verb == "until" and lives is not None and deadline and deadline > clock.now_ms() + lives[1] * clock.SECOND:
        said.append("That is longer than anything of this family should live. The linter will find it.")
    if verb == "delete" and parsed.family.rebuilt:
        said.append("Lists may be wrong until manage.py reindex has made it anew.")
    elif verb == "delete":
        said.append("It cannot be brought back.")
    return said
