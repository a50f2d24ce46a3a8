"""The application: keeps the store's copy of the accounts in step with the accounts."""

from __future__ import annotations

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        from dashboard import accounts

        accounts.follow_profiles()
