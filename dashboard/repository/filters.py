"""Saved filters: a person's own names for addresses of lists, so that Monday's question is one click on Tuesday."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from dashboard import keys
from dashboard.errors import Conflict, Invalid
from dashboard.repository.values import answered, readable

MOST = 50
LONGEST_NAME, LONGEST_QUERY = 40, 1_000


@dataclass(frozen=True)
class Saved:
    """One filter: the page's path, its name, and its query string without `?`."""

    path: str
    name: str
    query: str

    @property
    def url(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


def of_page(client: Redis, person: str, path: str) -> list[Saved]:
    """One round trip."""
    (kept,) = answered(client.pipeline(transaction=False).hgetall(keys.saved_filters(person)))
    found = [Saved(*_parts(field), readable(query)) for field, query in (kept or {}).items()]
    return sorted((each for each in found if each.path == path), key=lambda each: each.name.lower())


def save(client: Redis, person: str, path: str, name: str, query: str) -> None:
    """Keep it under its name; an older one of that name and page gives way, and so does what another tool put in their
    place. Two round trips.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid({"name": f"Give the filter a name of up to {LONGEST_NAME} characters."})
    if len(query) > LONGEST_QUERY or not path.startswith("/"):
        raise Invalid({"name": "This filter is too long to be saved."})
    field, key = f"{path}\t{name}", keys.saved_filters(person)
    (kept,) = answered(client.pipeline(transaction=False).hkeys(key))
    if kept and field not in kept and len(kept) >= MOST:
        raise Conflict(f"{MOST} filters are saved already. Take one away first.")
    pipe = client.pipeline(transaction=True)
    if kept is None:
        pipe.unlink(key)
    pipe.hset(key, field, query)
    pipe.execute()


def remove(client: Redis, person: str, path: str, name: str) -> bool:
    """Whether it was there. One round trip."""
    pipe = client.pipeline(transaction=False).hdel(keys.saved_filters(person), f"{path}\t{name}")
    return bool(answered(pipe)[0])


def _parts(field: str) -> tuple[str, str]:
    path, _, name = readable(field).partition("\t")
    return path, name
