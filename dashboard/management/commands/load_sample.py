"""manage.py load_sample: the customer's document's own data, its clock shifted to now, and the five accounts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from redis import Redis

from dashboard import accounts, sample, things
from dashboard.management.store import StoreCommand

REFUSAL = (
    "this store has data of its own, and nothing was written. `load_sample --accounts-only` makes just the accounts; "
    "`--force` adds the sample beside what is there."
)


class Command(StoreCommand):
    help = (
        "Load the sample book and the five accounts. Run it again at any time: what has ended (quotes, sessions) comes "
        "back, what is there is left as it is."
    )
    stopped = "Stopped. Run it again for the rest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--accounts-only",
            action="store_true",
            help="make just AG001-AG003, SUP001 and ADM001",
        )
        parser.add_argument("--force", action="store_true", help="also into a store that has data of its own")

    def work(self, client: Redis, *, accounts_only: bool, force: bool, **options: Any) -> None:
        if not (accounts_only or force or things.may_write(client, things.SAMPLE)):
            raise CommandError(REFUSAL)
        made = accounts.create_demo(settings.DEMO_PASSWORD)
        # Lists are arranged by branch, so the store has to know the agents' first.
        accounts.sync_directory()
        self.stdout.write(f"Accounts: {', '.join(made)}.")
        if not accounts_only:
            self._tell(sample.load(client))

    def _tell(self, written: things.Written) -> None:
        self.stdout.write(f"Written: {_counted(written.new) or 'nothing, all of it is there'}.")
        if written.kept:
            self.stdout.write(f"Left as they are: {_counted(written.kept)}.")


def _counted(tally: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in tally.items())
