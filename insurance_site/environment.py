"""Every environment variable the dashboard reads, in one place: the settings read here, the README lists from
here.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured

YES = {"1", "true", "yes", "on"}
NO = {"0", "false", "no", "off"}


def yes_or_no(text: str) -> bool:
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    raise ValueError("give 1 or 0")


def number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"give a whole number from {low} to {high}")
        return int(text)

    return parse


def words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def secrets_listed(text: str) -> list[str]:
    """Separated by commas alone: what people think of may hold spaces."""
    return [part.strip() for part in text.split(",") if part.strip()]


def time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("give a name such as America/Chicago or UTC") from error
    return text


def one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text and text not in names:
            raise ValueError(f"give {' or '.join(names)}")
        return text

    return parse


def bearer(text: str) -> str:
    if text and (len(text) < 16 or not text.isascii() or not text.isprintable() or " " in text):
        raise ValueError("give 16 or more letters and digits")
    return text


def store_url(text: str) -> str:
    if text and not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("give an address such as redis://localhost:6379/0")
    return text


def sender(text: str) -> str:
    if "@" not in parseaddr(text)[1] or not text.isprintable():
        raise ValueError("give an address such as Tideline <tideline@example.com>")
    return text


MAIL_SCHEMES = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
"""How mail is handed on, and the usual port: in plain (to a relay of one's own), with STARTTLS, with TLS."""


def mail_url(text: str) -> SplitResult | None:
    """The address of a mail server, None for none. What is special in name or password is given as %-codes."""
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in MAIL_SCHEMES or not parts.hostname or (parts.port or 1) < 1:
        raise ValueError("give an address such as smtp+tls://user:password@mail.example.com:587")
    return parts


@dataclass(frozen=True)
class Variable:
    """One variable: `parse` turns its text into a value or raises ValueError with what to give instead."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any] = str
    shown_default: str = ""
    secret: bool = False


VARIABLES = (
    Variable("PORT", "8000", "Port to serve on.", number(1, 65535)),
    Variable("HOST", "127.0.0.1", "Address to serve on; `0.0.0.0` for every interface."),
    Variable(
        "DATA_DIR",
        "",
        "Folder of everything that is kept: the embedded store, accounts, secrets, built static files.",
        shown_default="`var/`",
    ),
    Variable(
        "REDIS_URL",
        "",
        "An existing Redis or Valkey, 7 or later: `redis://`, `rediss://` or `unix://`.",
        store_url,
        shown_default="unset: an embedded Valkey on a Unix socket in `DATA_DIR`",
    ),
    Variable(
        "DATABASE_URL",
        "",
        "Where accounts are kept. For PostgreSQL also `pip install 'psycopg[binary]'` into `.venv`.",
        shown_default="SQLite in `DATA_DIR`",
    ),
    Variable(
        "SECRET_KEY",
        "",
        "Signs cookies and forms. Required when `REDIS_URL` is set and `DEBUG` is not 1.",
        shown_default="made once and kept in `DATA_DIR`",
    ),
    Variable(
        "SECRET_KEY_FALLBACKS",
        "",
        "Former values of `SECRET_KEY`, separated by commas: what was signed with them, the audit chain too, still counts.",
        secrets_listed,
        shown_default="none",
    ),
    Variable(
        "ALLOWED_HOSTS",
        "",
        "Host names that requests may carry, separated by commas.",
        words,
        shown_default="`localhost`, `127.0.0.1`, `[::1]` and `HOST`",
    ),
    Variable(
        "TIME_ZONE",
        "America/Chicago",
        "The business's time zone: its days, weeks and quarters begin and end there.",
        time_zone,
    ),
    Variable(
        "CLAIM_AUTHORITY",
        "5000",
        "Dollars up to which an agent approves a claim alone; what is above waits for a supervisor.",
        number(0, 1_000_000_000),
    ),
    Variable(
        "EMAIL_URL",
        "",
        "Mail server for sign-in codes and password resets: `smtp+tls://user:password@host:587`, `smtps://` or `smtp://`.",
        mail_url,
        shown_default="unset: printed by the demo, not sent otherwise",
        secret=True,
    ),
    Variable("EMAIL_FROM", "Tideline <tideline@localhost>", "Whom letters come from.", sender),
    Variable(
        "HSTS_SECONDS",
        "31536000",
        "How long browsers are told to come by TLS alone. 0 while TLS is tried out.",
        number(0, 10 * 365 * 24 * 60 * 60),
    ),
    Variable(
        "POLICY_LAYOUT",
        "strings",
        "How a new policy is kept: `strings`, a key for each field, or `hash`, one key. Both are read, whatever is set.",
        one_of("strings", "hash"),
    ),
    Variable(
        "LOG_FORMAT",
        "",
        "`json`: a line for each request and event; `console`: words, and only the requests that failed.",
        one_of("json", "console"),
        shown_default="`console` without `REDIS_URL`, else `json`",
    ),
    Variable(
        "METRICS_TOKEN",
        "",
        "What Prometheus shows as bearer token to read `/prometheus`.",
        bearer,
        shown_default="unset: this machine alone may read it",
    ),
    Variable("WORKERS", "2", "Server processes; one for each core is plenty.", number(1, 64)),
    Variable(
        "DEMO_PASSWORD",
        "",
        "Password of the demo accounts, for `load_sample`.",
        shown_default="random, kept in `DATA_DIR`",
    ),
    Variable(
        "DEBUG",
        "0",
        "1 shows Django's own error pages and serves static files as they are edited. Never in production.",
        yes_or_no,
    ),
)


def read(name: str) -> Any:
    """The variable's value, or its default. Raises ImproperlyConfigured with one sentence that names the
    remedy.
    """
    variable = next(variable for variable in VARIABLES if variable.name == name)
    text = os.environ.get(name, "").strip() or variable.default
    try:
        return variable.parse(text)
    except ValueError as error:
        if variable.secret:
            raise ImproperlyConfigured(f"{name} is not understood: {error}.") from None
        raise ImproperlyConfigured(f"{name} is {text!r}: {error}.") from error


def mail(server: SplitResult) -> dict[str, Any]:
    """Django's settings for this mail server."""
    return {
        "EMAIL_HOST": server.hostname,
        "EMAIL_PORT": server.port or MAIL_SCHEMES[server.scheme],
        "EMAIL_HOST_USER": unquote(server.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(server.password or ""),
        "EMAIL_USE_TLS": server.scheme == "smtp+tls",
        "EMAIL_USE_SSL": server.scheme == "smtps",
    }


def data_dir(default: Path) -> Path:
    """DATA_DIR as an absolute, existing, writable folder of the owner's alone."""
    folder = Path(read("DATA_DIR") or default).expanduser().resolve()
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ImproperlyConfigured(
            f"the data folder {folder} cannot be written ({error.strerror or error}): "
            "give it to this user, or set DATA_DIR to another."
        ) from error
    return folder


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret kept in `path`, made when there is none. Of several processes at once one makes it, all read
    it.
    """
    try:
        if not path.exists():
            _keep(path, make())
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"the secret in {path} cannot be read or made ({error.strerror or error}): "
            "give the file to this user, or remove it to have a new one made."
        ) from error


def _keep(path: Path, secret: str) -> None:
    """Linking a finished file into place closes the race of two first starts: the first link wins, whole."""
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def long_secret() -> str:
    return secrets.token_urlsafe(50)


def sayable_password() -> str:
    """Twelve letters and digits in groups, without look-alikes: 57 bits."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(3))


def table() -> str:
    """All variables as the README's table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for variable in VARIABLES:
        default = variable.shown_default or f"`{variable.default}`"
        rows.append(f"| `{variable.name}` | {default} | {variable.meaning} |")
    return "\n".join(rows)
