"""The environment's variables: what they take, and the secrets that are made where none is given."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from insurance_site import environment
from insurance_site.environment import (
    VARIABLES,
    data_dir,
    kept_secret,
    long_secret,
    read,
    sayable_password,
    table,
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)


def test_every_default_is_understood() -> None:
    for variable in VARIABLES:
        read(variable.name)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PORT", "8080", 8080),
        ("PORT", " 8080 ", 8080),
        ("PORT", "", 8000),
        ("DEBUG", "1", True),
        ("DEBUG", "no", False),
        ("ALLOWED_HOSTS", "a.example, b.example", ["a.example", "b.example"]),
        ("SECRET_KEY_FALLBACKS", "the former, the first", ["the former", "the first"]),
        ("TIME_ZONE", "UTC", "UTC"),
        ("REDIS_URL", "rediss://store:6380/1", "rediss://store:6380/1"),
    ],
)
def test_a_value_is_read(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    monkeypatch.setenv(name, text)
    assert read(name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "٨٠٠٠x"),
        ("WORKERS", "many"),
        ("DEBUG", "maybe"),
        ("TIME_ZONE", "../etc/passwd"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("REDIS_URL", "http://localhost"),
        ("EMAIL_FROM", "nobody"),
        ("EMAIL_FROM", "a@example.com\nBcc: b@example.com"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ImproperlyConfigured, match=f"{name} is "):
        read(name)


@pytest.mark.parametrize("text", ["mail.example.com", "http://u:pass-word@h", "smtp://", "smtp://u:pass-word@h:x"])
def test_a_wrong_mail_server_is_refused_without_telling_its_password(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("EMAIL_URL", text)
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL is not understood") as refused:
        read("EMAIL_URL")
    assert "pass-word" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "port", "tls", "ssl"),
    [
        ("smtp://relay", 25, False, False),
        ("smtp+tls://us%40er:p%2Fw@mail.example.com", 587, True, False),
        ("smtps://us%40er:p%2Fw@mail.example.com:4650", 4650, False, True),
    ],
)
def test_a_mail_server_becomes_djangos_settings(
    monkeypatch: pytest.MonkeyPatch, text: str, port: int, tls: bool, ssl: bool
) -> None:
    monkeypatch.setenv("EMAIL_URL", text)
    found = environment.mail(read("EMAIL_URL"))
    assert (found["EMAIL_PORT"], found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (port, tls, ssl)
    if "@" in text:
        assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("us@er", "p/w")


def test_the_table_names_every_variable() -> None:
    lines = table().splitlines()
    assert len(lines) == len(VARIABLES) + 2
    assert all(line.count("|") == 4 for line in lines)


def test_a_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    made = kept_secret(tmp_path / "secret", long_secret)
    assert kept_secret(tmp_path / "secret", long_secret) == made
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_of_many_first_starts_at_once_all_read_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(lambda _: kept_secret(tmp_path / "secret", long_secret), range(64)))
    assert len(found) == 1
    assert len(found.pop()) > 60


def test_a_password_can_be_said(tmp_path: Path) -> None:
    password = sayable_password()
    assert len(password) == 14
    assert not set(password) & set("0O1lI")
    assert password != sayable_password()


def test_the_data_folder_is_made_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "deep" / "folder"))
    folder = data_dir(tmp_path / "unused")
    assert folder == tmp_path / "deep" / "folder"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []


def test_the_readme_has_every_setting() -> None:
    readme = (Path(settings.BASE_DIR) / "README.md").read_text()
    assert environment.table() in readme
