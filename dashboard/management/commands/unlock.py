"""manage.py unlock ADM001: open sign-in for an account, where no admin is signed in who could."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from redis import Redis

from dashboard.management.store import StoreCommand
from dashboard.repository import lifting, security


class Command(StoreCommand):
    help = "Open sign-in for an account again, and forget its failed attempts. It is on record."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account")

    def work(self, client: Redis, **options: Any) -> None:
        account = security.account_of(options["account"])
        done = lifting.lift([f"lock:{account}", f"failures:{account}"], by="manage.py")
        self.stdout.write(f"Sign-in is open for {account}." if done.opened else f"Nothing stood against {account}.")
