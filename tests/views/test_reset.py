"""A forgotten password: who is sent a letter, what its link is good for, and what it tells nobody."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test import Client
from redis import Redis

from dashboard import keys, letters, passwords
from dashboard.repository import audit, codes, lockouts, security, sessions
from tests import cast
from tests.views.test_second_factor import first_step, together, with_authenticator

User = get_user_model()
NEW = "a-wholly-new-quay-8"
ASKED = b"If this account exists, a letter is on its way."
OVER = b"This link holds no longer"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters go as soon as they are posted, so that what was sent can be looked at."""
    monkeypatch.setattr(letters._pool, "submit", lambda act, *given: act(*given))


def ask(name: str = cast.AGENT, **headers: str) -> Any:
    return Client(headers=headers).post("/login/forgotten/", {"username": name})


def link() -> str:
    found = re.search(r"http://testserver(/login/reset/\S+/)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def opened(address: str | None = None) -> Client:
    """A browser that followed the link, up to the page where the password is chosen."""
    client = Client()
    client.get(address or link(), follow=True)
    return client


def choose(client: Client, password: str = NEW, again: str | None = None, account: str = "AG001") -> Any:
    fields = {"new_password": password, "new_password_again": password if again is None else again}
    return client.post(f"/login/reset/{account}/choose/", fields)


def comes_in(password: str, name: str = cast.AGENT) -> bool:
    return Client().post("/login/", {"username": name, "password": password}).status_code == 302


@pytest.mark.usefixtures("at_once")
class TestAsking:
    def test_the_owner_is_sent_a_letter(self, demo: None) -> None:
        assert ASKED in ask("ag001").content
        (letter,) = mail.outbox
        assert letter.to == ["dana.whitfield@example.com"]
        assert link().startswith("/login/reset/AG001/")

    @pytest.mark.parametrize("name", ["AG999", "a:b *", "\u202e", "x" * 150, "'; DROP TABLE auth_user"])
    def test_a_name_nobody_has_gets_the_same_answer_and_no_letter(self, demo: None, name: str) -> None:
        bare = [re.sub(rb'csrfmiddlewaretoken" value="\w+"', b"", ask(each).content) for each in ("AG001", name)]
        assert bare[0] == bare[1]
        assert len(mail.outbox) == 1

    def test_and_costs_the_same_work(
        self, demo: None, store: Redis, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All that differs, writing the letter and handing it on, happens behind the answer."""
        posted: list[object] = []
        monkeypatch.setattr(letters, "post", posted.append)
        counted = []
        for name in ("AG001", "AG999"):
            before = store.info("commandstats")
            with django_assert_num_queries(1):
                ask(name)
            after = store.info("commandstats")
            counted.append(
                {
                    each: after[each]["calls"] - before.get(each, {}).get("calls", 0)
                    for each in after
                    if "info" not in each
                }
            )
        assert len(posted) == 2
        assert counted[0] == counted[1]

    def test_a_deactivated_account_and_one_without_an_address_get_none(self, demo: None) -> None:
        User.objects.filter(username="AG001").update(is_active=False)
        User.objects.filter(username="AG002").update(email="")
        for name in ("AG001", "AG002"):
            assert ASKED in ask(name).content
        assert mail.outbox == []

    def test_a_locked_out_owner_gets_one(self, demo: None) -> None:
        for _ in range(3):
            lockouts.begin("AG001")
        ask()
        assert len(mail.outbox) == 1

    def test_one_account_is_sent_so_many(self, demo: None) -> None:
        for _ in range(codes.ISSUES + 2):
            assert ASKED in ask().content
        assert len(mail.outbox) == codes.ISSUES

    def test_one_address_asks_so_often(self, demo: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lockouts, "ADDRESS_LIMIT", 2)
        answers = [ask(f"AG{number}").content for number in range(3)]
        assert [ASKED in answer for answer in answers] == [True, True, False]
        assert b"Too many attempts came from this network address" in answers[2]

    def test_no_name_is_no_letter(self, demo: None) -> None:
        assert b'aria-invalid="true"' in Client().post("/login/forgotten/", {}).content
        assert mail.outbox == []

    def test_the_token_stands_nowhere_but_in_the_letter(self, demo: None, store: Redis) -> None:
        ask()
        token = link().split("/")[-2]
        opened()
        strings = [name for name in store.scan_iter() if store.type(name) == "string"]
        assert token not in "".join(f"{name} {store.get(name)}" for name in strings)

    def test_where_no_letters_are_sent_that_is_said(self, demo: None, settings: Any) -> None:
        settings.LETTERS_ARE_SENT = False
        assert b"An administrator can give you" in ask().content
        assert mail.outbox == []


def test_the_answer_does_not_wait_for_the_letter(demo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the time it takes would tell who has an account."""
    answered, sent = threading.Event(), threading.Event()

    def slow(self: object, messages: list[Any]) -> int:
        assert answered.wait(20)
        sent.set()
        return len(messages)

    monkeypatch.setattr(EmailBackend, "send_messages", slow)
    assert ASKED in ask().content
    assert not sent.is_set()
    answered.set()
    assert sent.wait(20)


def test_letters_that_pile_up_are_dropped(demo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "_room", threading.Semaphore(0))
    monkeypatch.setattr(letters._pool, "submit", lambda *given: pytest.fail("taken on"))
    assert ASKED in ask().content


@pytest.mark.usefixtures("at_once")
class TestTheLink:
    def test_it_leads_to_a_new_password_once(self, demo: None, store: Redis) -> None:
        ask()
        client = opened()
        answer = choose(client)
        assert answer["Location"] == "/login/"
        assert b"Your password is changed" in client.get("/login/").content
        assert comes_in(NEW)
        assert not comes_in(cast.PASSWORD)
        assert OVER in Client().get(link(), follow=True).content
        assert store.keys("security:password_reset:*") == []

    def test_a_replayed_token_changes_nothing(self, demo: None) -> None:
        ask()
        first, second = opened(), opened()
        assert choose(first).status_code == 302
        assert OVER in choose(second, "another-quay-99").content
        assert comes_in(NEW)

    def test_looking_uses_nothing_up(self, demo: None) -> None:
        ask()
        for _ in range(20):
            opened()
        assert choose(opened()).status_code == 302

    def test_the_token_leaves_the_address_at_once_and_no_page_tells_where_it_was(self, demo: None) -> None:
        ask()
        client, token = Client(), link().split("/")[-2]
        first = client.get(link())
        assert first["Location"] == "/login/reset/AG001/choose/"
        page = client.get(first["Location"])
        assert first["Referrer-Policy"] == "no-referrer"
        assert page["Referrer-Policy"] == "same-origin", "or a browser sends its form without an origin"
        assert token not in page.content.decode()
        assert "no-store" in first["Cache-Control"]
        assert "no-store" in page["Cache-Control"]
        cookie = client.cookies["reset"]
        assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/login/reset/AG001/", True, "Lax")
        assert int(cookie["max-age"]) == 900

    def test_the_page_alone_opens_nothing(self, demo: None) -> None:
        ask()
        answer = choose(Client())
        assert answer.status_code == 410
        assert OVER in answer.content
        assert comes_in(cast.PASSWORD)

    def test_one_persons_link_is_not_anothers(self, demo: None) -> None:
        ask()
        client = opened()
        client.cookies["reset"]["path"] = "/"
        assert OVER in choose(client, account="AG002").content
        assert OVER in Client().get(link().replace("AG001", "AG002")).content

    def test_a_newer_one_ends_it(self, demo: None) -> None:
        ask()
        older = link()
        ask()
        assert OVER in Client().get(older).content
        assert Client().get(link()).status_code == 302

    def test_one_address_guesses_so_often_and_the_owner_elsewhere_is_let_in(
        self, demo: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another tool's token may be short: it is not to be tried without end."""
        ask()
        monkeypatch.setattr(lockouts, "ADDRESS_LIMIT", 3)
        stranger = Client(REMOTE_ADDR="192.0.2.7")
        answers = [stranger.get(f"/login/reset/AG001/guess{number}/") for number in range(5)]
        assert [answer.status_code for answer in answers] == [410, 410, 410, 429, 429]
        assert stranger.get(link()).status_code == 429, "not even the right one any more"
        owner = Client(REMOTE_ADDR="192.0.2.8")
        assert all(owner.get(link()).status_code == 302 for _ in range(5)), "what is right does not count"

    def test_a_stranger_who_guesses_uses_up_nothing_of_the_owners(self, demo: None) -> None:
        ask()
        for number in range(codes.GUESSES + 5):
            stranger = Client()
            stranger.cookies["reset"] = f"guess-{number}"
            assert OVER in choose(stranger).content
        assert choose(opened()).status_code == 302

    @pytest.mark.parametrize("token", ["x", "%00", "%F0%9F%92%A9", "sent", "choose", "x" * 3000, "..%2F"])
    def test_nonsense_is_told_that_it_holds_no_longer(self, demo: None, token: str) -> None:
        ask()
        assert Client().get(f"/login/reset/AG001/{token}/").status_code in (404, 410)
        assert Client().get(f"/login/reset/{token}/{token}/").status_code in (404, 410)

    @pytest.mark.parametrize(
        ("password", "again", "told"),
        [
            ("", "", "A new password."),
            ("q7-Zv", "q7-Zv", "too short"),
            ("password123", "password123", "too common"),
            ("19283746501928", "19283746501928", "entirely numeric"),
            ("danawhitfield", "danawhitfield", "too similar"),
            (NEW, "other-quay-12", "not the same"),
        ],
    )
    def test_a_weak_password_is_refused_and_the_token_holds_still(
        self, demo: None, password: str, again: str, told: str
    ) -> None:
        ask()
        client = opened()
        page = choose(client, password, again).content.decode()
        assert told in page
        assert not password or password not in page
        assert choose(client).status_code == 302

    def test_a_deactivated_account_is_not_reset(self, demo: None) -> None:
        ask()
        client = opened()
        User.objects.filter(username="AG001").update(is_active=False)
        assert choose(client).status_code == 410

    def test_it_ends_every_session_of_the_person(
        self, agent_client: Client, second_agent_client: Client, store: Redis
    ) -> None:
        sessions.open_device("tablet", "AG001", "t1", device="iPad")
        ask()
        choose(opened())
        assert agent_client.get("/quotes/").status_code == 302
        assert sessions.of_person(store, "AG001") == []
        assert second_agent_client.get("/quotes/").status_code == 200

    def test_it_clears_the_ladder_of_this_person_alone(self, demo: None, store: Redis) -> None:
        for name in ("AG001", "AG002"):
            for _ in range(3):
                lockouts.begin(name)
        ask()
        choose(opened())
        assert store.keys("security:*AG001*") == []
        assert store.exists("security:lockout:AG002:level1")
        assert security.locks(store).total == 1
        assert comes_in(NEW)

    def test_the_second_factor_is_asked_for_all_the_same(self, demo: None) -> None:
        with_authenticator()
        ask()
        choose(opened())
        client = Client()
        answer = client.post("/login/", {"username": "AG001", "password": NEW})
        assert answer["Location"] == "/login/code/"

    def test_who_waits_between_the_steps_waits_in_vain(self, demo: None) -> None:
        with_authenticator()
        waiting = first_step()
        ask()
        choose(opened())
        assert waiting.get("/login/code/").status_code == 302

    def test_it_is_on_record_without_the_token(self, demo: None, store: Redis) -> None:
        ask()
        token = link().split("/")[-2]
        choose(opened())
        told = [record.text for record in audit.history(store, audit.SECURITY, "AG001")]
        assert told == [
            "Password reset by AG001 on Unknown device, with the link of a letter",
            "A password reset was used",
            "A password reset was sent",
        ]
        assert token not in " ".join(told)

    def test_the_letter_is_read_as_it_was_meant(self, demo: None) -> None:
        ask()
        assert "fifteen minutes" in mail.outbox[0].body
        assert mail.outbox[0].subject == "A new password"


@pytest.mark.django_db(transaction=True)
def test_of_five_who_bring_the_same_token_at_once_one_changes_the_password(store: Redis, at_once: None) -> None:
    cast.accounts_made()
    ask()
    clients = [opened() for _ in range(5)]
    numbers = iter(range(5))

    def act() -> tuple[int, int]:
        number = next(numbers)
        return number, choose(clients[number], f"quay-of-number-{number}").status_code

    answers = together(5, act)
    (winner,) = [number for number, status in answers if status == 302]
    assert comes_in(f"quay-of-number-{winner}")
    assert not store.exists(keys.password_reset("AG001", "sent"))
    assert not passwords.resets("AG001", "anything")
    connection.close()
