"""How logs are written: structlog gives every record, the libraries' too, one form; one JSON line each, or words for a
console. What was typed or stored is never in them: of an error its kind and where it happened are told, not its words.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

FRAMES = 12
"""Places of a traceback that are told, the innermost last."""

_ROOT = Path(__file__).resolve().parent.parent


def configuration(form: str) -> dict[str, Any]:
    """Django's LOGGING for `form`: "json" or "console". Requests are told line by line in JSON; on a console only those
    that failed are.
    """
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_words,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    json = form == "json"
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False),
        ],
        "keep_exc_info": False,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
        "loggers": {
            "dashboard": {"level": "INFO"},
            "dashboard.requests": {"level": "INFO" if json else "WARNING"},
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            # Both name the path or the host that was asked for, as it was typed; the request's own line tells the rest.
            "django.request": {"level": "CRITICAL"},
            "django.security": {"level": "CRITICAL"},
            "django.server": {"handlers": [], "propagate": True},
            "uvicorn": {"level": "WARNING"},
        },
    }


def failure(error: BaseException) -> dict[str, Any]:
    """What may be told of an error: its kind, and where it happened. Its words may hold what was typed or stored."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    told: dict[str, Any] = {"error": type(error).__name__, "at": places}
    return told | ({"because": type(cause).__name__} if cause else {})


def _without_words(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Instead of the traceback of an error, which ends with its words."""
    raised = event.pop("exc_info", None)
    event.pop("stack_info", None)
    record = event.get("_record")
    if record is not None:
        raised = raised or record.exc_info
        record.exc_info = record.exc_text = record.stack_info = None
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    return {**event, **failure(error)} if isinstance(error, BaseException) else event


def _short(filename: str) -> str:
    """`dashboard/views/quotes.py` for code of ours, the package's path for others'."""
    path = Path(filename)
    if path.is_relative_to(_ROOT):
        return str(path.relative_to(_ROOT))
    parts = path.parts
    at = parts.index("site-packages") + 1 if "site-packages" in parts else -2
    return "/".join(parts[at:])
