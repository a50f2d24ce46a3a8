"""manage.py reindex: everything under dash: that can be made from the customer's keys, made anew from them."""

from __future__ import annotations

from typing import Any

from redis import Redis

from dashboard import accounts
from dashboard.management.progress import Progress
from dashboard.management.store import StoreCommand
from dashboard.repository.reindex import reconcile


class Command(StoreCommand):
    help = "Make the indexes anew from what is stored. Everybody may work on meanwhile."
    stopped = "Stopped. What was done is done; run it again for the rest."

    def work(self, client: Redis, **options: Any) -> None:
        accounts.sync_directory()
        with Progress("keys", total=client.dbsize()) as progress:
            done = reconcile(client, progress=progress.update, thorough=True)
        self.stdout.write(f"{done.things:,} things indexed, {done.removed:,} stale entries removed.")
