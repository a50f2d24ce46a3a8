"""What the commands that work on the store have in common: it runs while they do, and trouble with it is one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError

from dashboard import redis
from dashboard.redis import AlreadyRunning, EmbeddedServerError, shown, store_running


class StoreCommand(BaseCommand):
    """A command whose `work` has the store. Ctrl-C ends it with `stopped`, which says how to go on."""

    stopped = "Stopped."

    work: Callable[..., None]
    """Is given the client, and the options by name."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # A fresh copy has no tables for the accounts yet.
            call_command("migrate", verbosity=0, interactive=False)
            with store_running():
                self.work(redis.client(), **options)
        except KeyboardInterrupt:
            sys.exit(f"\n{self.stopped}")
        except (AlreadyRunning, EmbeddedServerError) as error:
            raise CommandError(str(error)) from error
        except RedisError as error:
            raise CommandError(
                f"the store at {shown(settings.REDIS_URL)} does not answer ({error}): start it, or correct REDIS_URL, "
                "then run this again."
            ) from error
