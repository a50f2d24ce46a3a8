"""The second step of signing in: by an authenticator, by e-mail, by a recovery code; and what stands between the steps."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core import mail
from django.db import connection
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from redis import Redis

from dashboard import clock, keys, letters, second_factor, signin
from dashboard.models import Staff
from dashboard.repository import audit, codes, lockouts, security
from tests import cast

User = get_user_model()
WRONG_CODE = b"This code is not right"
CLOSED = b"Too many failed attempts"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters go as soon as they are posted, so that what was sent can be looked at."""
    monkeypatch.setattr(letters._pool, "submit", lambda act, *given: act(*given))


def user(name: str = cast.AGENT) -> Any:
    return User.objects.get(username=name)


def with_authenticator(name: str = cast.AGENT) -> TOTPDevice:
    """As if it had been set up long ago: no code was used yet."""
    number = second_factor.begin_authenticator(user(name))
    TOTPDevice.objects.filter(pk=number).update(confirmed=True)
    return TOTPDevice.objects.get(pk=number)


def app(device: TOTPDevice, *, ahead: int = 0) -> str:
    """What the app shows now, or so many steps of 30 s later."""
    totp = TOTP(device.bin_key)
    totp.time = time.time() + ahead * 30
    return f"{totp.token():06d}"


def wrong(device: TOTPDevice) -> str:
    near = {app(device, ahead=ahead) for ahead in (-2, -1, 0, 1, 2)}
    return next(code for code in ("000000", "000001", "000002", "000003", "000004", "000005") if code not in near)


def with_email(name: str = cast.AGENT) -> None:
    second_factor.switch_email(user(name), True)


def first_step(name: str = cast.AGENT, **fields: str) -> Client:
    client = Client()
    client.post("/login/", {"username": name, "password": cast.PASSWORD, **fields})
    return client


def sent_code() -> str:
    return re.search(r"\b(\d{6})\b", str(mail.outbox[-1].body))[1]  # type: ignore[index]


def is_in(client: Client) -> bool:
    return client.get("/quotes/").status_code == 200


def history(store: Redis, name: str = cast.AGENT) -> list[str]:
    return [record.text for record in audit.history(store, audit.SECURITY, name)]


@pytest.fixture
def required(settings: Any) -> None:
    """Outside the demo, where admins need an authenticator."""
    settings.DEMO = False


class TestByAuthenticator:
    def test_the_right_password_leads_to_the_second_page_and_its_code_on_to_where_one_wanted(self, demo: None) -> None:
        device = with_authenticator()
        client = Client()
        answer = client.post("/login/", {"username": "AG001", "password": cast.PASSWORD, "next": "/quotes/?risk=HIGH"})
        assert answer["Location"] == "/login/code/"
        assert b"Code from the app" in client.get("/login/code/").content
        assert client.post("/login/code/", {"code": app(device)})["Location"] == "/quotes/?risk=HIGH"
        assert is_in(client)

    @pytest.mark.parametrize("next", ["https://evil.example/", "//evil.example", "/login/code/", "/logout/"])
    def test_and_never_to_somebody_elses_page(self, demo: None, next: str) -> None:
        device = with_authenticator()
        client = first_step(next=next)
        assert client.post("/login/code/", {"code": app(device)})["Location"] == "/"

    def test_a_code_may_be_typed_in_groups(self, demo: None) -> None:
        device = with_authenticator()
        code = app(device)
        assert first_step().post("/login/code/", {"code": f" {code[:3]} {code[3:]} "}).status_code == 302

    def test_a_replayed_code_opens_nothing(self, demo: None) -> None:
        device = with_authenticator()
        code = app(device)
        assert first_step().post("/login/code/", {"code": code}).status_code == 302
        thief = first_step()
        assert WRONG_CODE in thief.post("/login/code/", {"code": code}).content
        assert not is_in(thief)

    def test_an_earlier_code_than_the_last_one_opens_nothing_either(self, demo: None) -> None:
        device = with_authenticator()
        earlier, later = app(device, ahead=-1), app(device)
        assert first_step().post("/login/code/", {"code": later}).status_code == 302
        assert WRONG_CODE in first_step().post("/login/code/", {"code": earlier}).content

    def test_another_persons_code_opens_nothing(self, demo: None) -> None:
        with_authenticator()
        other = with_authenticator(cast.SECOND_AGENT)
        assert WRONG_CODE in first_step().post("/login/code/", {"code": app(other)}).content

    @pytest.mark.parametrize("code", ["", "12345", "1234567", "١٢٣٤٥٦", "+12345", "1_2345", "abcdef", "1" * 5000])
    def test_what_is_no_code_is_told_so_and_not_counted(self, demo: None, store: Redis, code: str) -> None:
        with_authenticator()
        client = first_step()
        answer = client.post("/login/code/", {"code": code})
        assert b'aria-invalid="true"' in answer.content
        assert not store.exists(keys.failed_logins("AG001"))

    def test_in_the_demo_nobody_is_asked_who_has_not_switched_it_on(self, demo: None) -> None:
        for name in (cast.AGENT, cast.SECOND_AGENT, cast.THIRD_AGENT, cast.SUPERVISOR, cast.ADMIN):
            assert is_in(cast.signed_in(name))


class TestTheLadder:
    def test_wrong_codes_climb_it(self, demo: None, store: Redis) -> None:
        device = with_authenticator()
        client = first_step()
        answers = [client.post("/login/code/", {"code": wrong(device)}).content for _ in range(3)]
        assert [WRONG_CODE in answer for answer in answers] == [True, True, False]
        assert CLOSED in answers[2]
        assert store.get("security:lockout:AG001:level1") == "3_attempts"

    def test_the_right_password_in_between_forgives_none_of_them(self, demo: None, store: Redis) -> None:
        device = with_authenticator()
        for number in range(2):
            client = first_step()
            client.post("/login/code/", {"code": wrong(device)})
            assert store.get(keys.failed_logins("AG001")) == str(number + 1)
        assert CLOSED in first_step().post("/login/code/", {"code": wrong(device)}).content

    def test_wrong_passwords_and_wrong_codes_add_up(self, demo: None) -> None:
        device = with_authenticator()
        Client().post("/login/", {"username": "AG001", "password": "wrong"})
        client = first_step()
        client.post("/login/code/", {"code": wrong(device)})
        assert CLOSED in client.post("/login/code/", {"code": wrong(device)}).content

    def test_coming_in_forgives_all(self, demo: None, store: Redis) -> None:
        device = with_authenticator()
        client = first_step()
        for _ in range(2):
            client.post("/login/code/", {"code": wrong(device)})
        client.post("/login/code/", {"code": app(device)})
        assert not store.exists(keys.failed_logins("AG001"))

    def test_a_lock_that_falls_between_the_steps_holds_at_the_last_one(self, demo: None) -> None:
        device = with_authenticator()
        client = first_step()
        for _ in range(3):
            Client().post("/login/", {"username": "AG001", "password": "wrong"})
        assert CLOSED in client.post("/login/code/", {"code": app(device)}).content
        assert not is_in(client)

    def test_a_lock_that_falls_while_the_right_code_is_looked_at_holds_too(
        self, demo: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device = with_authenticator()
        client, real = first_step(), second_factor.verify

        def slow(*given: Any) -> bool:
            for _ in range(2):
                lockouts.begin("AG001")
            return real(*given)

        monkeypatch.setattr(second_factor, "verify", slow)
        assert CLOSED in client.post("/login/code/", {"code": app(device)}).content
        assert not is_in(client)

    def test_during_a_lock_the_right_password_looks_like_a_wrong_one(self, demo: None) -> None:
        with_authenticator()
        for _ in range(3):
            lockouts.begin("AG001")
        answers = [
            Client().post("/login/", {"username": "AG001", "password": password})
            for password in (cast.PASSWORD, "wrong")
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        bare = [re.sub(rb'csrfmiddlewaretoken" value="\w+"', b"", answer.content) for answer in answers]
        assert bare[0] == bare[1]

    def test_a_locked_out_person_begins_anew(self, demo: None) -> None:
        device = with_authenticator()
        client = first_step()
        for _ in range(3):
            client.post("/login/code/", {"code": wrong(device)})
        assert signin.HALF not in client.session
        assert client.get("/login/code/")["Location"] == "/login/"

    def test_one_address_may_not_try_for_ever(self, demo: None, monkeypatch: pytest.MonkeyPatch) -> None:
        device = with_authenticator()
        client = first_step()
        monkeypatch.setattr(lockouts, "ADDRESS_LIMIT", 0)
        answer = client.post("/login/code/", {"code": app(device)})
        assert b"Too many attempts came from this network address" in answer.content
        assert not is_in(client)


class TestBetweenTheSteps:
    def test_the_browser_is_nobody_yet(self, demo: None, store: Redis) -> None:
        with_authenticator()
        client = first_step()
        assert SESSION_KEY not in client.session
        assert signin.ENTRY not in client.session
        assert not is_in(client)
        assert not store.exists(keys.workstation("AG001"))
        assert signin.stream_viewer({"sessionid": client.cookies["sessionid"].value}) is None
        for path in ("/account/", "/account/authenticator/", "/login/authenticator/"):
            assert client.get(path).status_code == 302

    def test_its_number_changes_at_each_step(self, demo: None) -> None:
        device = with_authenticator()
        client = Client()
        client.get("/login/")
        session = client.session
        session["planted"] = "by somebody"
        session.save()
        client.cookies["sessionid"] = session.session_key
        numbers = [session.session_key]
        client.post("/login/", {"username": "AG001", "password": cast.PASSWORD})
        numbers.append(client.cookies["sessionid"].value)
        assert "planted" not in client.session
        client.post("/login/code/", {"code": app(device)})
        numbers.append(client.cookies["sessionid"].value)
        assert len(set(numbers)) == 3
        for number in numbers[:2]:
            other = Client()
            other.cookies["sessionid"] = number
            assert not is_in(other)
            assert other.get("/login/code/").status_code == 302

    def test_it_is_over_after_five_minutes(self, demo: None) -> None:
        device = with_authenticator()
        with time_machine.travel(clock.now() - timedelta(minutes=5, seconds=1), tick=True):
            client = first_step()
        answer = client.post("/login/code/", {"code": app(device)}, follow=True)
        assert b"longer than five minutes" in answer.content
        assert not is_in(client)

    def test_a_new_password_ends_it(self, demo: None) -> None:
        device = with_authenticator()
        client = first_step()
        changed = user()
        changed.set_password("another-harbour-1")
        changed.save()
        assert client.post("/login/code/", {"code": app(device)})["Location"] == "/login/"
        assert not is_in(client)

    def test_a_deactivated_account_does_not_come_in(self, demo: None) -> None:
        device = with_authenticator()
        client = first_step()
        User.objects.filter(username="AG001").update(is_active=False)
        assert client.post("/login/code/", {"code": app(device)})["Location"] == "/login/"

    def test_a_role_that_is_taken_away_lets_nobody_in(self, demo: None, store: Redis) -> None:
        device = with_authenticator()
        client = first_step()
        user().groups.clear()
        assert client.post("/login/code/", {"code": app(device)}).status_code == 403
        assert not store.exists(keys.workstation("AG001"))

    @pytest.mark.parametrize("kept", [None, "x", [], {}, {"stage": "code"}, {"stage": "code", "until": 10**15}])
    def test_what_somebody_wrote_into_the_browsers_session_is_nobody(self, demo: None, kept: object) -> None:
        client = Client()
        client.get("/login/")
        session = client.session
        session[signin.HALF] = kept
        session.save()
        client.cookies["sessionid"] = session.session_key
        assert client.get("/login/code/")["Location"] == "/login/"

    def test_the_second_page_alone_opens_nothing(self, demo: None) -> None:
        with_authenticator()
        for path in ("/login/code/", "/login/authenticator/"):
            assert Client().post(path, {"code": "123456"})["Location"] == "/login/"
        assert Client().get("/login/code/send/").status_code == 405

    def test_nothing_of_it_is_kept_by_the_browser(self, demo: None) -> None:
        with_authenticator()
        assert "no-store" in first_step().get("/login/code/")["Cache-Control"]


class TestByEmail:
    def test_a_code_is_sent_and_lets_in_once(self, demo: None, store: Redis) -> None:
        with_email()
        client = first_step()
        assert [letter.to for letter in mail.outbox] == [["dana.whitfield@example.com"]]
        page = client.get("/login/code/").content.decode()
        assert "d•••@example.com" in page
        assert "dana.whitfield" not in page
        code = sent_code()
        assert client.post("/login/code/", {"code": code, "by": "email"}).status_code == 302
        assert is_in(client)
        assert not codes.redeem("code", "AG001", code)
        assert store.keys("security:2fa:*") == []

    def test_the_code_stands_nowhere_but_in_the_letter(self, demo: None, store: Redis) -> None:
        with_email()
        first_step()
        strings = [name for name in store.scan_iter() if store.type(name) == "string"]
        assert sent_code() not in "".join(f"{name} {store.get(name)}" for name in strings)

    def test_another_one_ends_the_first(self, demo: None) -> None:
        with_email()
        client = first_step()
        older = sent_code()
        assert client.post("/login/code/send/")["Location"] == "/login/code/?by=email"
        if older != sent_code():
            assert WRONG_CODE in client.post("/login/code/", {"code": older, "by": "email"}).content
        assert client.post("/login/code/", {"code": sent_code(), "by": "email"}).status_code == 302

    def test_only_so_many_are_sent_and_that_is_said(self, demo: None) -> None:
        with_email()
        client = first_step()
        answers = [client.post("/login/code/send/", follow=True).content for _ in range(codes.ISSUES + 3)]
        assert len(mail.outbox) == codes.ISSUES
        assert b"A code is on its way" in answers[0]
        assert b"Too many were sent already" in answers[-1]
        assert b"A code is on its way" not in answers[-1]
        assert b"Too many were sent already" in first_step().get("/login/code/").content

    def test_none_is_sent_to_who_has_not_given_the_password(self, demo: None) -> None:
        with_email()
        Client().post("/login/code/send/")
        Client().post("/login/", {"username": "AG001", "password": "wrong"})
        assert mail.outbox == []

    def test_who_has_no_address_is_asked_for_none(self, demo: None) -> None:
        with_email()
        User.objects.filter(username="AG001").update(email="")
        assert is_in(first_step())

    def test_beside_an_authenticator_it_is_sent_when_it_is_asked_for(self, demo: None) -> None:
        device = with_authenticator()
        with_email()
        client = first_step()
        assert mail.outbox == []
        assert b"Send a code by e-mail" in client.get("/login/code/").content
        client.post("/login/code/send/")
        assert WRONG_CODE in client.post("/login/code/", {"code": app(device), "by": "email"}).content
        assert client.post("/login/code/", {"code": sent_code(), "by": "email"}).status_code == 302

    def test_a_mail_server_that_fails_is_no_error_page_and_tells_the_log_no_address(
        self, demo: None, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.EMAIL_BACKEND = "nobody.knows.this"
        with_email()
        assert first_step().get("/login/code/").status_code == 200
        assert "could not be sent" in caplog.text
        assert not re.search("dana|AG001", caplog.text)


class TestByRecoveryCode:
    def test_each_of_the_ten_lets_in_once(self, demo: None) -> None:
        with_authenticator()
        made = second_factor.new_recovery_codes(user())
        assert len(set(made)) == 10
        client = first_step()
        assert b"10 are left" in client.get("/login/code/?by=recovery").content
        assert client.post("/login/code/", {"code": made[3], "by": "recovery"}).status_code == 302
        assert is_in(client)
        assert WRONG_CODE in first_step().post("/login/code/", {"code": made[3], "by": "recovery"}).content
        typed = made[4].upper().replace("-", " ")
        assert first_step().post("/login/code/", {"code": typed, "by": "recovery"}).status_code == 302
        assert StaticToken.objects.count() == 8

    def test_they_are_kept_as_digests(self, demo: None) -> None:
        made = second_factor.new_recovery_codes(user())
        kept = " ".join(StaticToken.objects.values_list("token", flat=True))
        assert not any(code in kept or code.replace("-", "") in kept for code in made)

    def test_they_are_one_persons(self, demo: None) -> None:
        with_authenticator()
        with_authenticator(cast.SECOND_AGENT)
        second_factor.new_recovery_codes(user())
        theirs = second_factor.new_recovery_codes(user(cast.SECOND_AGENT))
        assert WRONG_CODE in first_step().post("/login/code/", {"code": theirs[0], "by": "recovery"}).content

    def test_new_ones_end_the_old_ones(self, demo: None) -> None:
        old = second_factor.new_recovery_codes(user())
        new = second_factor.new_recovery_codes(user())
        assert not second_factor.verify(user(), "recovery", old[0])
        assert second_factor.verify(user(), "recovery", new[0])

    @pytest.mark.parametrize("code", ["----", "\ud800", "' OR 1=1 --", "ａ" * 12])
    def test_hostile_ones_are_wrong(self, demo: None, code: str) -> None:
        second_factor.new_recovery_codes(user())
        assert second_factor.verify(user(), "recovery", code) is False

    def test_they_are_no_way_in_without_a_second_factor(self, demo: None) -> None:
        device = with_authenticator()
        second_factor.new_recovery_codes(user())
        second_factor.remove_authenticator(device.user)
        assert StaticToken.objects.count() == 0


class TestWhereItIsRequired:
    def test_an_admin_sets_it_up_before_anything_else(self, demo: None, required: None) -> None:
        client = first_step(cast.ADMIN, next="/sessions/")
        assert client.get("/sessions/").status_code == 302
        page = client.get("/login/authenticator/").content.decode()
        assert '<svg viewBox="0 0' in page
        device = TOTPDevice.objects.get(user=user(cast.ADMIN))
        secret = re.search(r'id="secret">([A-Z2-7 ]+)<', page)
        assert secret and secret[1].replace(" ", "") in device.config_url
        assert not device.confirmed
        shown = client.post("/login/authenticator/", {"code": app(device)}).content.decode()
        made = re.findall(r"<code>([a-z2-9-]{14})</code>", shown)
        assert len(made) == 10
        assert 'href="/sessions/"' in shown
        assert client.get("/sessions/").status_code == 200
        assert first_step(cast.ADMIN).get("/login/code/").status_code == 200

    def test_the_code_that_set_it_up_lets_nobody_in_again(self, demo: None, required: None) -> None:
        client = first_step(cast.ADMIN)
        device = TOTPDevice.objects.get(user=user(cast.ADMIN))
        code = app(device)
        client.post("/login/authenticator/", {"code": code})
        assert WRONG_CODE in first_step(cast.ADMIN).post("/login/code/", {"code": code}).content

    def test_wrong_first_codes_climb_the_ladder(self, demo: None, required: None) -> None:
        client = first_step(cast.ADMIN)
        device = TOTPDevice.objects.get(user=user(cast.ADMIN))
        answers = [client.post("/login/authenticator/", {"code": wrong(device)}).content for _ in range(3)]
        assert CLOSED in answers[2]
        assert not TOTPDevice.objects.filter(confirmed=True).exists()

    def test_two_who_set_it_up_at_once_never_see_each_others_secret(self, demo: None, required: None) -> None:
        """Both know the password; one of them is not the owner."""
        first = first_step(cast.ADMIN)
        theirs = TOTPDevice.objects.get(user=user(cast.ADMIN))
        second = first_step(cast.ADMIN)
        assert first.get("/login/authenticator/")["Location"] == "/login/"
        assert first.post("/login/authenticator/", {"code": app(theirs)})["Location"] == "/login/"
        assert second.get("/login/authenticator/").status_code == 200

    def test_who_has_one_cannot_set_up_another_instead_of_giving_its_code(self, demo: None, required: None) -> None:
        with_authenticator(cast.ADMIN)
        assert first_step(cast.ADMIN).get("/login/authenticator/")["Location"] == "/login/"

    def test_a_code_by_e_mail_does_not_do(self, demo: None, required: None) -> None:
        with_authenticator(cast.ADMIN)
        with_email(cast.ADMIN)
        client = first_step(cast.ADMIN)
        client.post("/login/code/send/")
        assert mail.outbox == []
        code = codes.issue("code", "ADM001")
        assert WRONG_CODE in client.post("/login/code/", {"code": code, "by": "email"}).content

    def test_an_admin_who_has_codes_by_e_mail_gives_one_and_then_sets_it_up(self, demo: None, required: None) -> None:
        with_email(cast.ADMIN)
        client = first_step(cast.ADMIN)
        assert client.get("/login/authenticator/").status_code == 302
        answer = client.post("/login/code/", {"code": sent_code(), "by": "email"})
        assert answer["Location"] == "/login/authenticator/"
        assert client.get("/sessions/").status_code == 302
        device = TOTPDevice.objects.get(user=user(cast.ADMIN))
        assert client.post("/login/authenticator/", {"code": app(device)}).status_code == 200
        assert client.get("/sessions/").status_code == 200

    def test_a_recovery_code_does(self, demo: None, required: None) -> None:
        with_authenticator(cast.ADMIN)
        code = second_factor.new_recovery_codes(user(cast.ADMIN))[0]
        client = first_step(cast.ADMIN)
        client.post("/login/code/", {"code": code, "by": "recovery"})
        assert client.get("/sessions/").status_code == 200

    def test_others_need_none(self, demo: None, required: None) -> None:
        assert is_in(first_step(cast.AGENT))
        assert is_in(first_step(cast.SUPERVISOR))

    def test_who_becomes_an_admin_while_signed_in_without_one_is_out(
        self, agent_client: Client, required: None
    ) -> None:
        cast.accounts_made()
        user().groups.set(user(cast.ADMIN).groups.all())
        assert agent_client.get("/sessions/").status_code == 302
        assert agent_client.get("/quotes/").status_code == 302


class TestOnRecord:
    def test_coming_in_and_going_out_are_with_the_device_and_by_what(self, demo: None, store: Redis) -> None:
        device = with_authenticator()
        client = Client(headers={"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/115.0.0.0 Safari/537.36"})
        client.post("/login/", {"username": "AG001", "password": cast.PASSWORD})
        client.post("/login/code/", {"code": wrong(device)})
        client.post("/login/code/", {"code": app(device)})
        client.post("/logout/")
        assert history(store) == [
            "Signed out by AG001 on Chrome 115.0, Windows",
            "Signed in by AG001 on Chrome 115.0, Windows, with password and authenticator app",
            "Wrong code after the right password, on Chrome 115.0, Windows",
        ]

    def test_neither_codes_nor_addresses_are(self, demo: None, store: Redis) -> None:
        with_email()
        client = first_step()
        client.post("/login/code/", {"code": sent_code(), "by": "email"})
        told = " ".join(history(store))
        assert sent_code() not in told
        assert "127.0.0.1" not in told
        assert "example.com" not in told

    def test_a_hostile_browser_name_is_not(self, demo: None, store: Redis) -> None:
        hostile = "<script>alert(1)</script>\u202e" + "x" * 5000
        client = Client()
        client.post("/login/", {"username": "AG001", "password": cast.PASSWORD}, headers={"User-Agent": hostile})
        assert history(store) == ["Signed in by AG001 on Unknown device, with password"]


# -- many at once


@pytest.mark.django_db(transaction=True)
class TestManyAtOnce:
    @pytest.fixture(autouse=True)
    def people(self, store: Redis) -> None:
        cast.accounts_made()

    @pytest.fixture(autouse=True)
    def _no_recovery(self) -> Iterator[None]:
        yield
        Staff.objects.all().delete()

    @pytest.mark.parametrize("round", range(5))
    def test_of_ten_with_the_same_right_code_one_is_told_yes(self, round: int) -> None:
        device = with_authenticator()
        code, person = app(device), user()
        assert together(10, lambda: second_factor.verify(person, "authenticator", code)).count(True) == 1

    def test_control_looking_without_the_lock_tells_several(self) -> None:
        person = user()

        def naive(code: str) -> bool:
            device = TOTPDevice.objects.get(user=person, confirmed=True)
            time.sleep(0.01)
            return bool(device.verify_token(code))

        most = 0
        for _ in range(5):
            TOTPDevice.objects.all().delete()
            code = app(with_authenticator())
            most = max(most, together(10, lambda code=code: naive(code)).count(True))  # type: ignore[misc]
        assert most > 1

    @pytest.mark.parametrize("round", range(5))
    def test_of_ten_with_the_same_recovery_code_one_is_told_yes(self, round: int) -> None:
        with_authenticator()
        person = user()
        code = second_factor.new_recovery_codes(person)[0]
        assert together(10, lambda: second_factor.verify(person, "recovery", code)).count(True) == 1

    def test_control_looking_and_then_deleting_tells_several(self) -> None:
        person = user()

        def naive(code: str) -> bool:
            found = StaticToken.objects.filter(device__user=person, token=second_factor._digest(person, code)).first()
            time.sleep(0.01)
            return found is not None and bool(found.delete())

        most = 0
        for _ in range(5):
            code = second_factor.new_recovery_codes(person)[0]
            most = max(most, together(10, lambda code=code: naive(code)).count(True))  # type: ignore[misc]
        assert most > 1

    def test_of_ten_browsers_with_the_same_right_code_no_more_than_one_is_in(self) -> None:
        device = with_authenticator()
        clients = [first_step() for _ in range(10)]
        code = app(device)
        ready = iter(clients)
        answers = together(10, lambda: next(ready).post("/login/code/", {"code": code}).status_code)
        assert answers.count(302) <= 1, "the ladder closes the account behind the third of them, even for the right one"
        assert sum(map(is_in, clients)) == answers.count(302)

    def test_of_two_browsers_exactly_one_is_in(self) -> None:
        for _ in range(3):
            TOTPDevice.objects.all().delete()
            device = with_authenticator()
            clients = [first_step() for _ in range(2)]
            code, ready = app(device), iter(clients)
            answers = together(2, lambda ready=ready, code=code: next(ready).post("/login/code/", {"code": code}))  # type: ignore[misc]
            assert sorted(answer.status_code for answer in answers) == [200, 302]
            lockouts.succeeded(lockouts.begin("AG001"))
        assert security.account_of("ag001") == "AG001"


def together(count: int, act: Callable[[], Any]) -> list[Any]:
    """What so many threads got that began at the same moment."""
    found: list[Any] = []
    start = threading.Barrier(count)

    def work() -> None:
        start.wait()
        try:
            found.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    return found
