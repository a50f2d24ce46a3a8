"""Letters by e-mail, sent behind the answer: one that waited for the mail server would tell by the time it takes who has
an account. What was not sent when this process ends is lost; whoever waits for it asks again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.core.mail import send_mail
from django.template.loader import render_to_string

from dashboard.errors import Conflict

MOST_WAITING = 200
"""Letters that wait for a mail server that is slow; further ones are dropped, and said so in the log."""

log = logging.getLogger(__name__)
_pool = ThreadPoolExecutor(4, thread_name_prefix="letters")
_room = threading.Semaphore(MOST_WAITING)


@dataclass(frozen=True)
class Letter:
    """Text of `templates/letters/<name>.txt`."""

    to: str
    subject: str
    name: str
    context: dict[str, Any]


def post(write: Callable[[], Letter | None]) -> None:
    """Have a letter written and sent, soon. `write` runs in another thread, and may find that there is none to send."""
    if not _room.acquire(blocking=False):
        log.warning("A letter was dropped: %s are waiting already.", MOST_WAITING)
        return
    _pool.submit(_write_and_send, write)


def _write_and_send(write: Callable[[], Letter | None]) -> None:
    try:
        letter = write()
        if letter:
            text = render_to_string(f"letters/{letter.name}.txt", letter.context)
            send_mail(letter.subject, text, None, [letter.to])
    except Conflict:
        pass  # enough were sent already
    except Exception as error:
        # Nobody waits for the outcome; the log tells the kind of error, never to whom or what.
        log.warning("A letter could not be sent: %s", type(error).__name__)
    finally:
        _room.release()


def masked(address: str) -> str:
    """`dana@example.com` -> `d•••@example.com`: enough for its owner to know which."""
    name, _, host = address.rpartition("@")
    return f"{name[:1]}•••@{host}"
