"""manage.py serve: the one process that `make run` starts."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.redis import AlreadyRunning, EmbeddedServerError
from dashboard.serving import Interrupted, StartFailed, serve


class Command(BaseCommand):
    help = "Serve the dashboard: the embedded store if there is no REDIS_URL, the pages, and the live follower."
    requires_system_checks = []  # the start is waited for; the tests check

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            serve()
        except (AlreadyRunning, EmbeddedServerError, StartFailed) as error:
            sys.exit(f"Tideline cannot start: {error}")
        except Interrupted:
            sys.exit("\nStopped before it was ready.")
