"""Anchors of the chain over the audit records: what it was, kept with the accounts, out of the store's reach."""

from __future__ import annotations

import logging

from django.db import Error, close_old_connections, connection

from dashboard.models import Anchor
from dashboard.repository.chain import Head

log = logging.getLogger(__name__)


def keep(head: Head) -> None:
    """Keep what the chain is now. One query. An anchor that stands is never replaced: of two that contradict each other
    the first is the truth. Accounts that cannot be reached hold nothing up.
    """
    if not head.links:
        return
    _freshen()
    try:
        Anchor.objects.get_or_create(links=head.links, defaults={"last": head.last})
    except Error as error:
        log.warning("The chain of audit records could not be anchored: %s", type(error).__name__)


def known() -> dict[int, str]:
    """The last link by how many there were. One query."""
    _freshen()
    return dict(Anchor.objects.values_list("links", "last"))


def _freshen() -> None:
    """A thread that asks now and then finds its connection too old; one that is within a transaction is still in use."""
    if not connection.in_atomic_block:
        close_old_connections()
