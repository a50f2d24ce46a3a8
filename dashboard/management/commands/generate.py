"""manage.py generate: a plausible book of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from redis import Redis

from dashboard import accounts, generator, things
from dashboard.errors import Conflict
from dashboard.management.progress import Progress
from dashboard.management.store import StoreCommand
from dashboard.models import Staff

LARGEST = 5_000_000

REFUSAL = (
    "this store has data of its own, and nothing was written. `--force` adds a generated book beside it; "
    "there is no command that takes it out again."
)


class Command(StoreCommand):
    help = (
        "Generate a book: customers, policies, quotes, claims, sessions and figures, the same for the same seed. Run "
        "it again with the same numbers to go on after a stop, or to have new quotes and sessions once they have ended."
    )
    stopped = "Stopped. Run the same command again to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--policies", type=int, default=1_000, help="how many (default 1000)")
        parser.add_argument("--seed", type=int, default=1, help="another seed makes another book (default 1)")
        parser.add_argument("--force", action="store_true", help="also into a store that has data of its own")

    def work(self, client: Redis, *, policies: int, seed: int, force: bool, **options: Any) -> None:
        if not 1 <= policies <= LARGEST:
            raise CommandError(f"--policies must be from 1 to {LARGEST:,}.")
        if not 0 <= seed < 2**31:
            raise CommandError("--seed must be from 0 to 2147483647.")
        if not (force or things.may_write(client, things.SAMPLE, things.GENERATED)):
            raise CommandError(REFUSAL)
        agents = self._agents(policies)
        try:
            book = generator.open_book(client, policies, seed)
        except Conflict as conflict:
            raise CommandError(str(conflict)) from conflict
        with Progress("policies", policies, done=book.done) as progress:
            written = generator.generate(client, book, agents, progress=progress.update)
        self.stdout.write(f"{len(agents)} agents. New: {_counted(written.new) or 'nothing, all of it was there'}.")

    def _agents(self, size: int) -> list[generator.Agent]:
        """Those of the demo, and more without a password; the store's copy of their branches is brought in step."""
        demo = [
            generator.Agent(each.id, each.first, each.last, each.branch, each.branches, each.products)
            for each in accounts.DEMO
            if each.role == "agent"
        ]
        if get_user_model().objects.filter(username__in=[each.id for each in demo]).count() < len(demo):
            accounts.create_demo(settings.DEMO_PASSWORD)
        found = generator.agents_for(size, demo)
        _make_accounts(found[len(demo) :])
        accounts.sync_directory()
        return found


@transaction.atomic
def _make_accounts(agents: Sequence[generator.Agent]) -> None:
    """Accounts nobody can sign in with until an admin sets a password. One that exists is left as it is."""
    users = get_user_model().objects
    known = set(users.filter(username__in=[agent.id for agent in agents]).values_list("username", flat=True))
    group, _ = Group.objects.get_or_create(name="agent")
    for agent in agents:
        if agent.id not in known:
            user = users.create_user(agent.id, first_name=agent.first, last_name=agent.last)  # type: ignore[attr-defined]
            user.groups.add(group)
            Staff.objects.create(
                user=user,
                staff_id=agent.id,
                branch=agent.branch,
                branch_access=list(agent.branches),
                product_access=list(agent.products),
            )


def _counted(tally: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in tally.items())
