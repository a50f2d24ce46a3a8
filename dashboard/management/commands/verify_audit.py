"""manage.py verify_audit: whether every audit record is there, and says what it said. Ends with 1 where one is not."""

from __future__ import annotations

import sys
from typing import Any

from redis import Redis

from dashboard import anchors
from dashboard.management.progress import Progress
from dashboard.management.store import StoreCommand
from dashboard.repository import chain, verification


class Command(StoreCommand):
    help = "Verify the chain over the audit records: name the first link that does not hold."
    stopped = "Stopped. Nothing was changed."

    def work(self, client: Redis, **options: Any) -> None:
        late = chain.catch_up(client)
        if late:
            self.stdout.write(f"{late:,} records were in no link; they are sealed as they are now.")
        known, at = anchors.known(), chain.head(client)
        with Progress("links", total=at.links) as progress:
            verdict = chain.verify(client, anchors=known, progress=progress.update)
        verification.keep(verdict, by="manage.py", late=late)
        self.stdout.write(
            f"{verdict.links:,} links: {verdict.standing:,} records stand, {verdict.ended:,} had their time."
        )
        if verdict.first:
            found = verdict.first
            others = f" There are {verdict.breaks - 1:,} more." if verdict.breaks > 1 else ""
            self.stdout.write(f"Link {found.number:,} does not hold: {found.what}. {found.key}{others}")
            sys.exit(1)
        anchors.keep(at)
        self.stdout.write("The chain holds.")
