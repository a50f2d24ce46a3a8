"""Writing: read and check under WATCH, record the writes as plain commands in one `Change`, run them as one MULTI/EXEC.

Two people acting on the same thing at once: one EXEC goes through, the other is refused by the server, reads again and
finds what the first one did. Redis never rolls back, so whatever could fail inside EXEC is checked before, under WATCH.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from django.conf import settings
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.exceptions import WatchError

from dashboard import clock, keys, redis
from dashboard.errors import Conflict, StoreDown
from dashboard.repository.keyspace import broken

ATTEMPTS = 100
"""How often a change is tried anew when others keep changing what it looked at, before it gives up."""

AT_ONCE = 50
"""Members of one of `change_many`'s transactions."""

TOKEN_LIFE = clock.DAY

T = TypeVar("T")


class Change:
    """One action's reads and recorded writes. Deadlines are Unix ms."""

    def __init__(self, client: Redis, watcher: Any) -> None:
        self.client = client
        self._watcher = watcher
        self._commands: list[tuple[Any, ...]] = []
        self._kinds: dict[str, str] = {}
        self._events: dict[str, set[str]] = {}

    # -- looking, before anything is written

    def watch(self, *names: str) -> None:
        """From now on a change of these keys by others, or their expiry, undoes this attempt. One round trip.
        Reads that follow may use any connection: the watch stands already.
        """
        self._watcher.watch(*names)

    def require(self, kind: str, names: Iterable[str]) -> None:
        """Refuse when one of the (watched) keys holds another type: EXEC would stop half way. One round trip."""
        pipe = self.client.pipeline(transaction=False)
        wanted = list(names)
        for name in wanted:
            pipe.type(name)
        for name, found in zip(wanted, pipe.execute(), strict=True):
            if found not in ("none", kind):
                raise Conflict(f"{name} holds a {found} where a {kind} belongs; it has to be mended first.")

    def kind(self, name: str) -> str:
        """The key's type as this attempt met it first, "none" for no key. One round trip, once for each key."""
        if name not in self._kinds:
            self._kinds[name] = str(self.client.type(name))
        return self._kinds[name]

    # -- recording

    def record(self, *command: Any) -> None:
        self._commands.append(command)

    def set(self, name: str, value: str) -> None:
        """A permanent value. (A key with a lifetime is written with `set_until` or `set_keeping`.)"""
        self.record("SET", name, value)

    def set_until(self, name: str, value: str, deadline: int) -> None:
        self.record("SET", name, value, "PXAT", deadline)

    def set_keeping(self, name: str, value: str) -> None:
        """A new value for a key whose lifetime goes on as it is."""
        self.record("SET", name, value, "KEEPTTL")

    def set_once(self, name: str, value: str, deadline: int) -> None:
        self.record("SET", name, value, "NX", "PXAT", deadline)

    def delete(self, *names: str) -> None:
        if names:
            self.record("UNLINK", *names)

    def expire_at(self, deadline: int, *names: str) -> None:
        for name in names:
            self.record("PEXPIREAT", name, deadline)

    def persist(self, *names: str) -> None:
        for name in names:
            self.record("PERSIST", name)

    def event(self, area: str, subject: str = "") -> None:
        """Tell every open page of this area, as part of the transaction."""
        self._events.setdefault(area, set()).add(subject)

    # -- running, by `change`

    def commands(self) -> list[tuple[Any, ...]]:
        if not self._events:
            return self._commands
        message = json.dumps({area: sorted(filter(None, ids)) for area, ids in self._events.items()})
        return [*self._commands, ("PUBLISH", keys.LIVE_CHANNEL, message)]


def change(action: Callable[[Change], T], *, token: str | None = None, attempts: int = ATTEMPTS) -> T:
    """Run `action` until its transaction goes through, `attempts` times at most, and give what it returned.

    With a `token` (an opaque digest of person, address and form) the result, which JSON must be able to hold, is
    stored in the same transaction; a second call with that token gets it back and does nothing. Domain errors raised
    by the action end it, with nothing written. Raises StoreDown(uncertain=True) when the connection broke while the
    transaction was on its way: repeating the same form is then safe.
    """
    client = redis.client()
    token_key = keys.token(token) if token else None
    for _ in range(attempts):
        try:
            with client.pipeline(transaction=True) as watcher:
                return _attempt(client, watcher, action, token_key)
        except WatchError as error:
            if _connection_lost(error):
                raise StoreDown from error
    raise Conflict("Too many people are changing this at the same moment. Nothing was saved; try again.")


def change_many(members: Sequence[str], action: Callable[[Change, Sequence[str]], None]) -> None:
    """One change for AT_ONCE members at a time, for work that follows what others do: each transaction waits for the disk.
    Where others keep changing what a slice looks at, it is cut in halves.
    """
    for start in range(0, len(members), AT_ONCE):
        _change_slice(members[start : start + AT_ONCE], action)


def _change_slice(part: Sequence[str], action: Callable[[Change, Sequence[str]], None]) -> None:
    try:
        change(lambda draft: action(draft, part), attempts=3 if len(part) > 1 else ATTEMPTS)
    except Conflict:
        if len(part) == 1:
            raise
        half = len(part) // 2
        _change_slice(part[:half], action)
        _change_slice(part[half:], action)


def _attempt(client: Redis, watcher: Any, action: Callable[[Change], T], token_key: str | None) -> T:
    """Raises WatchError where somebody changed what the action looked at."""
    if token_key:
        watcher.watch(token_key)
        stored = watcher.get(token_key)
        if stored is not None:
            return _kept_result(stored)
    draft = Change(client, watcher)
    result = action(draft)
    commands = draft.commands()
    if token_key:
        kept = json.dumps({"result": result})
        commands = [*commands, ("SET", token_key, kept, "PXAT", clock.now_ms() + TOKEN_LIFE)]
    if commands:
        # What other tools broke of our own bookkeeping is dropped with the rest; reindex makes it anew.
        lost = broken(client, commands)
        _execute(watcher, [("UNLINK", *lost), *commands] if lost else commands)
    return result


def _kept_result(stored: str) -> Any:
    try:
        return json.loads(stored)["result"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # another tool wrote there: never do it twice
        raise Conflict(
            "This form was sent before, and what came of it cannot be read. Look before you repeat it."
        ) from error


def _execute(watcher: Any, commands: Iterable[tuple[Any, ...]]) -> None:
    watcher.multi()
    for command in commands:
        watcher.execute_command(*command)
    try:
        watcher.execute()
    except (WatchError, RedisConnectionError, RedisTimeoutError) as error:
        if isinstance(error, WatchError) and not _connection_lost(error):
            raise
        raise StoreDown(
            "The data store went away while this was being saved. Send the form again: it will not be done twice.",
            uncertain=True,
        ) from error


def _connection_lost(error: WatchError) -> bool:
    """redis-py says WatchError, too, when the connection breaks while keys are watched, even after EXEC was sent: to
    try anew then could do a thing twice.
    """
    return isinstance(error.__context__, RedisConnectionError | RedisTimeoutError | OSError)


def secret_of(salt: str, *purpose: str) -> bytes:
    """32 bytes that a repeat of a form can be told again although the store never holds them: made of a random salt, kept as
    the form's result, and of the site's own key. Who has not both learns nothing.
    """
    message = "|".join(("secret", *purpose, salt)).encode(errors="surrogatepass")
    return hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).digest()


def is_done(token: str) -> bool:
    """Whether a change with this token went through already. One round trip."""
    return bool(redis.client().exists(keys.token(token)))


def next_number(thing: str, floor: int) -> int:
    """A number nobody was given before, for a new quote, policy or claim; at least `floor`. One round trip.
    Gaps are fine. That no other tool uses it is for the caller to check, under WATCH.
    """
    name = keys.sequence(thing)
    pipe = redis.client().pipeline(transaction=True)
    pipe.set(name, floor - 1, nx=True)
    pipe.incr(name)
    return int(pipe.execute()[1])
