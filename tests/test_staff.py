"""Staff accounts: each change with its record, once, by an admin who is one still; nobody takes themselves out, and an
admin stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django_otp.plugins.otp_totp.models import TOTPDevice
from redis import Redis

from dashboard import accounts, keys, redis, second_factor, staff
from dashboard.errors import Conflict, Forbidden, Invalid, NotFound, StoreDown
from dashboard.models import Staff
from dashboard.repository import audit, codes, dossier, sessions
from dashboard.repository.index import Page
from dashboard.staff import Account, Facts, Filter
from tests import cast

AGENT = Facts("Lena", "Fischer", "lena@example.com", "agent", "austin", ("dallas",), ("auto", "home"))
ADMIN = Facts("Otto", "Lang", "", "admin")


@pytest.fixture
def office(db: None, store: Redis) -> Redis:
    """The five accounts of the demo, and a second admin."""
    return make(store)


def make(store: Redis) -> Redis:
    cast.accounts_made()
    staff.create("ADM002", ADMIN, by="ADM001")
    accounts.sync_directory()
    return store


def told(store: Redis, person: str) -> list[str]:
    return [record.text for record in audit.history(store, audit.SECURITY, person)]


def ids(page: Page[Account]) -> list[str]:
    return [account.id for account in page.rows]


class TestWhoThereIs:
    def test_the_list_is_by_user_name_and_told_whole(self, office: Redis) -> None:
        page = staff.listing(Filter())
        assert ids(page) == ["ADM001", "ADM002", "AG001", "AG002", "AG003", "SUP001"]
        agent = page.rows[2]
        assert (agent.name, agent.role, agent.branch) == ("Dana Whitfield", "agent", "dallas")
        assert (agent.branches, agent.products) == (("dallas", "fort_worth"), ("auto", "home", "life"))

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (Filter("whit"), ["AG001"]),
            (Filter("ag00", role="agent"), ["AG001", "AG002", "AG003"]),
            (Filter(role="admin"), ["ADM001", "ADM002"]),
            (Filter(role="supervisor", active=False), []),
            (Filter(active=False), ["AG002"]),
            (Filter("100%_"), []),
        ],
    )
    def test_is_searched_and_filtered(self, office: Redis, wanted: Filter, found: list[str]) -> None:
        staff.close("AG002", by="ADM001")
        assert ids(staff.listing(wanted)) == found

    def test_counts_say_what_the_filters_lead_to(self, office: Redis) -> None:
        staff.close("AG002", by="ADM001")
        assert staff.totals(Filter()) == {"": 6, "closed": 1, "agent": 3, "supervisor": 1, "admin": 2}
        assert staff.totals(Filter("ag00", active=True)) == {
            "": 2,
            "closed": 1,
            "agent": 2,
            "supervisor": 0,
            "admin": 0,
        }

    def test_the_role_is_the_one_that_signing_in_gives(self, office: Redis) -> None:
        """Of several groups the first counts; a superuser without one is an admin; an account of no role has none."""
        user = get_user_model().objects.get(username="ADM002")
        user.groups.add(Group.objects.get(name="agent"))
        get_user_model().objects.create(username="ROOT", is_superuser=True)
        get_user_model().objects.create(username="NOBODY")
        for account in staff.listing(Filter()).rows:
            assert account.role == accounts.role_of(get_user_model().objects.get(username=account.username))
            if account.role:
                assert account.id in ids(staff.listing(Filter(role=account.role)))
        assert staff.totals(Filter())["admin"] == 2

    def test_is_paged_forth_and_back(self, office: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(staff, "PAGE", 4)
        first = staff.listing(Filter())
        second = staff.listing(Filter(), first.next)
        assert (ids(second), second.first, second.total, second.next) == (["AG003", "SUP001"], 5, 6, None)
        assert ids(staff.listing(Filter(), second.previous)) == ids(first)
        assert first.previous is None

    def test_the_query_count_does_not_grow_with_the_accounts(
        self, office: Redis, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(30):
            staff.create(f"AG1{number:02}", AGENT, by="ADM001")
        with django_assert_max_num_queries(6):
            assert staff.listing(Filter()).total == 36

    @pytest.mark.parametrize("name", ["AG001", "ag001", "ＡＧ００１"])
    def test_one_is_found_however_its_name_is_written(self, office: Redis, name: str) -> None:
        assert staff.get(name).id == "AG001"

    def test_a_profile_that_somebody_broke_is_shown(self, office: Redis) -> None:
        Staff.objects.filter(staff_id="AG001").update(branch_access={"a": 1}, product_access=["boat", 3, "life"])
        agent = staff.get("AG001")
        assert (agent.branches, agent.products) == ((), ("life",))


class TestMaking:
    def test_it_has_the_facts_no_password_and_is_on_record(self, office: Redis) -> None:
        assert staff.create("AG007", AGENT, by="ADM001")
        made = staff.get("AG007")
        assert replace(made, **vars(AGENT)) == made
        assert (made.active, made.has_password) == (True, False)
        assert told(office, "AG007") == [
            "Account created by ADM001: agent, branch austin, branches dallas, products auto and home"
        ]

    def test_twice_with_one_form_is_one_account(self, office: Redis) -> None:
        assert staff.create("AG007", AGENT, by="ADM001", token="f" * 40)
        assert not staff.create("AG007", AGENT, by="ADM001", token="f" * 40)
        assert len(told(office, "AG007")) == 1

    def test_numbers_that_mean_somebody_else_are_refused(self, office: Redis) -> None:
        dossier.create({"name": "Ann"}, by="AG001")
        (customer,) = (
            each.removeprefix("customer:").removesuffix(":profile") for each in office.keys("customer:*:profile")
        )
        for person in ("AG001", "ag008", customer):
            with pytest.raises(Invalid, match=r".") as refused:
                staff.create(person, AGENT, by="ADM001")
            assert set(refused.value.fields) == {"id"}

    @pytest.mark.parametrize(("facts", "field"), [({"branch": ""}, "branch"), ({"products": ()}, "products")])
    def test_an_agent_has_a_branch_and_a_product(self, office: Redis, facts: dict[str, Any], field: str) -> None:
        with pytest.raises(Invalid) as refused:
            staff.create("AG007", replace(AGENT, **facts), by="ADM001")
        assert set(refused.value.fields) == {field}
        assert staff.find("AG007") is None


class TestChanging:
    def edit(self, person: str, by: str = "ADM001", **facts: Any) -> Account:
        account = staff.get(person)
        return staff.edit(person, replace(Facts(**account.facts), **facts), seen=account.seal, by=by)

    def test_the_record_says_before_and_after(self, office: Redis) -> None:
        before = self.edit("AG001", branch="houston", products=("auto",))
        assert (before.branch, staff.get("AG001").branch) == ("dallas", "houston")
        assert told(office, "AG001") == [
            "Account changed by ADM001: branch from dallas to houston; products from auto and home and life to auto"
        ]

    def test_nothing_changed_is_nothing_on_record(self, office: Redis) -> None:
        self.edit("AG001")
        assert told(office, "AG001") == []

    def test_a_colleague_who_was_faster_is_told(self, office: Redis) -> None:
        seen = staff.get("AG001").seal
        self.edit("AG001", branch="austin")
        with pytest.raises(Conflict, match="changed this account since"):
            staff.edit("AG001", replace(AGENT, branch="houston"), seen=seen, by="ADM001")
        assert staff.get("AG001").branch == "austin"

    @pytest.mark.parametrize(
        "facts", [{"role": "supervisor"}, {"branch": "houston"}, {"branches": ("austin",)}, {"products": ("auto",)}]
    )
    def test_other_rights_end_the_sessions_which_keep_those_they_began_with(
        self, office: Redis, facts: dict[str, Any]
    ) -> None:
        browser = cast.signed_in("AG001")
        self.edit("AG001", **facts)
        assert sessions.of_person(office, "AG001") == []
        assert browser.get("/quotes/")["Location"].startswith("/login/")

    def test_another_name_or_address_leaves_the_session(self, office: Redis) -> None:
        cast.signed_in("AG001")
        self.edit("AG001", first="Dina", email="dina@example.com")
        assert len(sessions.of_person(office, "AG001")) == 1

    def test_with_another_address_what_went_to_the_former_one_holds_no_longer(self, office: Redis) -> None:
        token = codes.issue("reset", "AG001")
        self.edit("AG001", first="Dina")
        assert codes.holds(office, "reset", "AG001", token)
        self.edit("AG001", email="dina@example.com")
        assert not codes.holds(office, "reset", "AG001", token)

    def test_an_address_that_sign_in_codes_go_to_is_not_taken_away(self, office: Redis) -> None:
        self.edit("AG001", email="dana@example.com")
        second_factor.switch_email(get_user_model().objects.get(username="AG001"), True)
        with pytest.raises(Invalid, match="codes"):
            self.edit("AG001", email="")
        self.edit("AG001", email="dina@example.com")
        staff.remove_second_factor("AG001", by="ADM001")
        self.edit("AG001", email="")
        assert staff.get("AG001").email == ""

    def test_another_role_is_the_accounts(self, office: Redis) -> None:
        self.edit("AG001", role="supervisor")
        assert accounts.role_of(get_user_model().objects.get(username="AG001")) == "supervisor"

    def test_groups_that_are_no_roles_stay(self, office: Redis) -> None:
        user = get_user_model().objects.get(username="AG001")
        user.groups.add(Group.objects.create(name="choir"))
        self.edit("AG001", role="supervisor")
        assert {group.name for group in user.groups.all()} == {"choir", "supervisor"}

    def test_a_superuser_who_is_no_admin_any_more_is_none(self, office: Redis) -> None:
        get_user_model().objects.create(username="ROOT", is_superuser=True)
        self.edit("ROOT", role="supervisor")
        assert not get_user_model().objects.get(username="ROOT").is_superuser

    def test_nobody_takes_their_own_role_away(self, office: Redis) -> None:
        with pytest.raises(Invalid, match="own role"):
            self.edit("ADM001", role="supervisor")
        assert staff.get("ADM001").role == "admin"

    def test_what_is_no_account_is_not_found(self, office: Redis) -> None:
        with pytest.raises(NotFound):
            staff.edit("NOBODY", AGENT, seen="", by="ADM001")


class TestClosing:
    def test_nobody_signs_in_with_it_and_its_sessions_end(self, office: Redis) -> None:
        browser = cast.signed_in("AG001")
        staff.close("AG001", by="ADM001")
        assert browser.get("/quotes/")["Location"].startswith("/login/")
        assert sessions.of_person(office, "AG001") == []
        assert "Account closed by ADM001" in told(office, "AG001")
        assert not cast.comes_in("AG001")

    def test_a_link_that_was_on_its_way_does_not_wait_for_it_to_be_opened(self, office: Redis) -> None:
        token = codes.issue("reset", "AG001")
        staff.close("AG001", by="ADM001")
        staff.reopen("AG001", by="ADM001")
        assert not codes.holds(office, "reset", "AG001", token)

    def test_it_can_be_opened_again(self, office: Redis) -> None:
        staff.close("AG001", by="ADM001")
        staff.reopen("AG001", by="ADM001")
        assert cast.comes_in("AG001")
        assert "Account opened again by ADM001" in told(office, "AG001")

    @pytest.mark.parametrize("act", [staff.close, staff.revoke_password, staff.remove_second_factor])
    def test_nobody_does_it_to_themselves(self, office: Redis, act: Callable[..., object]) -> None:
        with pytest.raises(Forbidden):
            act("ADM001", by="ADM001")
        assert staff.get("ADM001").active and staff.get("ADM001").has_password

    def test_closed_or_open_already_is_told(self, office: Redis) -> None:
        with pytest.raises(Conflict, match="is open"):
            staff.reopen("AG001", by="ADM001")
        staff.close("AG001", by="ADM001")
        with pytest.raises(Conflict, match="closed already"):
            staff.close("AG001", by="ADM001")

    @pytest.mark.parametrize("who", ["AG001", "SUP001", "NOBODY"])
    def test_who_is_no_admin_changes_nothing(self, office: Redis, who: str) -> None:
        with pytest.raises(Forbidden):
            staff.close("AG002", by=who)
        assert staff.get("AG002").active

    def test_a_form_that_was_done_does_not_close_what_was_opened_since(self, office: Redis) -> None:
        staff.close("AG001", by="ADM001", token="f" * 40)
        staff.reopen("AG001", by="ADM002")
        staff.close("AG001", by="ADM001", token="f" * 40)
        assert staff.get("AG001").active

    def test_an_admin_stays_whatever_the_callers_forget(self, office: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        staff.close("ADM002", by="ADM001")
        monkeypatch.setattr(staff, "_check_still_admin", lambda by: None)
        with pytest.raises(Conflict, match="last admin"):
            staff.close("ADM001", by="ADM002")
        assert staff.get("ADM001").active


class TestPasswordsAndFactors:
    def test_a_password_that_was_taken_away_opens_nothing(self, office: Redis) -> None:
        browser = cast.signed_in("AG001")
        assert staff.revoke_password("AG001", by="ADM001")
        assert browser.get("/quotes/")["Location"].startswith("/login/")
        assert not staff.get("AG001").has_password
        assert not cast.comes_in("AG001")

    def test_a_closed_account_gets_no_new_password(self, office: Redis) -> None:
        staff.close("AG001", by="ADM001")
        with pytest.raises(Conflict, match="Open it first"):
            staff.revoke_password("AG001", by="ADM001")

    def test_a_lost_second_factor_is_taken_away_and_on_record(self, office: Redis) -> None:
        user = get_user_model().objects.get(username="AG001")
        TOTPDevice.objects.create(user=user, confirmed=True)
        Staff.objects.filter(user=user).update(email_codes=True)
        assert staff.factors("AG001").any
        staff.remove_second_factor("AG001", by="ADM001")
        assert not staff.factors("AG001").any
        assert told(office, "AG001") == ["Second factor taken away by ADM001"]

    def test_without_one_it_says_so(self, office: Redis) -> None:
        with pytest.raises(Conflict, match="no second factor"):
            staff.remove_second_factor("AG001", by="ADM001")


class TestAcrossTwoStores:
    """The accounts are committed behind their record, or not at all."""

    def test_a_store_that_is_away_leaves_the_accounts_as_they_were(
        self, office: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object, **__: object) -> None:
            raise StoreDown

        with monkeypatch.context() as broken:
            broken.setattr("dashboard.repository.store.change", away)
            for act in (staff.close, staff.revoke_password):
                with pytest.raises(StoreDown):
                    act("AG001", by="ADM001")
        account = staff.get("AG001")
        assert account.active and account.has_password

    def test_no_change_is_seen_before_it_is_on_record(self, office: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        order = []
        append = audit.append

        def note(*args: Any, **kwargs: Any) -> None:
            order.append(transaction.get_connection().in_atomic_block)
            append(*args, **kwargs)

        monkeypatch.setattr(audit, "append", note)
        staff.close("AG001", by="ADM001")
        assert order[0] is True


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.fixture(autouse=True)
    def alone(self, transactional_db: None, store: Redis) -> Iterator[None]:
        make(store)
        yield

    def both(self, one: Callable[[], object], other: Callable[[], object]) -> list[type[Exception] | None]:
        """What each of two came to who act at the same moment."""
        start, outcomes = threading.Barrier(2), {}

        def run(act: Callable[[], object]) -> None:
            start.wait()
            try:
                act()
                outcomes[act] = None
            except Exception as error:
                outcomes[act] = type(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=[act]) for act in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [outcomes[one], outcomes[other]]

    def test_two_admins_who_close_each_other_leave_one(self, store: Redis) -> None:
        for _ in range(10):
            outcomes = self.both(lambda: staff.close("ADM002", by="ADM001"), lambda: staff.close("ADM001", by="ADM002"))
            assert sorted(map(str, outcomes)) == sorted(map(str, [None, Forbidden]))
            assert staff.totals(Filter(role="admin", active=True))["admin"] == 1
            get_user_model().objects.update(is_active=True)

    def test_control_looking_first_and_writing_then_leaves_none(self, store: Redis) -> None:
        looked = threading.Barrier(2)

        def naive(person: str, by: str) -> None:
            assert staff.get(by).active
            looked.wait()
            get_user_model().objects.filter(username=person).update(is_active=False)

        assert self.both(lambda: naive("ADM002", "ADM001"), lambda: naive("ADM001", "ADM002")) == [None, None]
        assert staff.totals(Filter(role="admin", active=True))["admin"] == 0

    def test_one_form_sent_twice_at_once_makes_one_account(self, store: Redis) -> None:
        made = []
        for number in range(5):
            person, token = f"AG1{number:02}", f"{number}" * 40

            def create(person: str = person, token: str = token) -> None:
                made.append(staff.create(person, AGENT, by="ADM001", token=token))

            assert self.both(create, lambda: create()) == [None, None]
            assert len(told(store, person)) == 1
        assert sorted(made) == [False] * 5 + [True] * 5

    def test_the_branches_are_in_the_store_once_it_is_saved(self, store: Redis) -> None:
        staff.create("AG007", AGENT, by="ADM001")
        assert redis.client().hget(keys.agents(), "AG007") == "austin"
        account = staff.get("AG007")
        staff.edit("AG007", replace(AGENT, role="supervisor"), seen=account.seal, by="ADM001")
        assert store.hget(keys.agents(), "AG007") is None
