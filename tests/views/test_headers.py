"""What a browser is told it may do with our pages, and what the framework's own check of a deployment says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from tests import cast

PAGES = ("/", "/login/", "/nowhere/", "/customers/nobody/", "/policies/csv/")


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_carries_the_headers(supervisor_client: Client, path: str) -> None:
    answer = supervisor_client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]


@pytest.mark.parametrize("path", ["/", "/customers/", "/policies/csv/", "/search/?q=x"])
def test_private_pages_are_kept_by_nobody(supervisor_client: Client, path: str) -> None:
    assert "no-store" in supervisor_client.get(path).headers["Cache-Control"]


def test_cookies_are_out_of_reach_for_scripts_and_other_sites(demo: None) -> None:
    client = Client()
    client.get("/login/")
    client.post("/login/", {"username": cast.AGENT, "password": cast.PASSWORD})
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        assert client.cookies[name]["httponly"]
        assert client.cookies[name]["samesite"] == "Lax"


def test_the_sessions_key_is_another_after_signing_in(demo: None) -> None:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = "planted0000000000000000000000000"
    client.post("/login/", {"username": cast.AGENT, "password": cast.PASSWORD})
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != "planted0000000000000000000000000"
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(demo: None, target: str) -> None:
    answer = Client().post("/login/", {"username": cast.AGENT, "password": cast.PASSWORD, "next": target})
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/"])
def test_no_form_leads_elsewhere(agent_client: Client, target: str) -> None:
    for path in ("/theme/", "/quotes/auto/Q404/withdraw/", "/logout/"):
        answer = agent_client.post(path, {"next": target}, headers={"referer": target})
        assert "evil" not in answer.headers.get("Location", "")


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example/x/", "//\\evil.example/"])
def test_no_address_is_taken_for_another_hosts(supervisor_client: Client, path: str) -> None:
    """A page shows its own address, in its forms and where it is to be tried again."""
    answer = supervisor_client.get("/", {"q": "1"}, PATH_INFO=path)
    assert answer.status_code == 302
    assert re.match(r"/(%5C)?evil\.example/.*\?q=1$", answer.headers["Location"])


def test_a_form_of_another_site_is_refused(demo: None) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/login/", {"username": cast.AGENT, "password": cast.PASSWORD})
    assert answer.status_code == 403


# -- as it is deployed

DEPLOYED = {"REDIS_URL": "redis://127.0.0.1:1/0", "SECRET_KEY": os.urandom(40).hex(), "ALLOWED_HOSTS": "dash.example"}


def manage(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), **DEPLOYED}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_frameworks_check_of_a_deployment_is_clean(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_deployed_it_answers_by_tls_alone_and_says_so(tmp_path: Path) -> None:
    code = (
        "from django.test import Client; c = Client(headers={'host': 'dash.example'});"
        "plain = c.get('/login/'); safe = c.get('/login/', secure=True);"
        "print(plain.status_code, plain['Location'], safe.status_code, safe['Strict-Transport-Security']);"
        "print(safe.cookies['csrftoken']['secure'])"
    )
    assert manage(tmp_path, "collectstatic", "--no-input").returncode == 0
    done = manage(tmp_path, "shell", "--no-imports", "-c", code)
    assert "301 https://dash.example/login/ 200 max-age=31536000; includeSubDomains" in done.stdout, done.stderr
    assert "True" in done.stdout
