"""Browser sessions in the store, as Django's cache sessions, but honest about a store that does not answer.

Django's own engine takes any error while reading for "there is no such session": one blip of the store would
sign everybody out and delete their cookies. Here it is StoreDown, and the cookie stays.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.cache import SessionStore as CacheSessions
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dashboard.errors import StoreDown

_AWAY = (RedisConnectionError, RedisTimeoutError)
"""django-redis raises the client's own errors."""


class SessionStore(CacheSessions):
    def load(self) -> dict[str, Any]:
        """The session's data, {} when it ended or is unreadable. One round trip. Raises StoreDown."""
        try:
            data = self._cache.get(self.cache_key)
        except _AWAY as error:
            raise StoreDown from error
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            data = None  # another tool put another type there
        except ValueError:
            data = None  # another tool put something there that is no JSON
        if isinstance(data, dict):
            return data
        self._session_key = None
        return {}

    def save(self, must_create: bool = False) -> None:
        try:
            super().save(must_create)
        except _AWAY as error:
            raise StoreDown(uncertain=True) from error

    def exists(self, session_key: str) -> bool:
        try:
            return super().exists(session_key)
        except _AWAY as error:
            raise StoreDown from error

    def delete(self, session_key: str | None = None) -> None:
        try:
            super().delete(session_key)
        except _AWAY as error:
            raise StoreDown(uncertain=True) from error
