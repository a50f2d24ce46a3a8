"""Staff accounts as admins manage them: who there is, and changing who they are, what they may do, and whether they may.

Accounts are Django's, in SQLite or PostgreSQL; what is on record, and the form's token, stand in the store. The two
cannot be one transaction. So the accounts are written first and not yet committed, then record and token are written,
all or nothing, and then the accounts are committed: a store that refuses leaves nothing changed, and no change goes
without its record. A crash just between the two commits leaves a record of a change that was not made, and a form that is
spent: the account is seen as it was, and a new form does it.

Sessions are ended behind that. A crash before leaves workstation keys of somebody whose account is closed or has another
role: worth nothing, as both are asked for on each request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet

from dashboard import accounts, keys, redis, second_factor
from dashboard.errors import Conflict, Forbidden, Invalid, NotFound
from dashboard.models import Staff
from dashboard.permissions import ROLES, Role
from dashboard.repository import audit, codes, customers, security, sessions, store
from dashboard.repository.index import Cursor, Page
from dashboard.repository.store import Change
from dashboard.second_factor import Factors

PAGE = 50
_RIGHTS = ("role", "branch", "branches", "products")


@dataclass(frozen=True)
class Facts:
    """What an admin says of an account. `branches`, `products`: whose objects an agent sees, besides those of `branch`."""

    first: str
    last: str
    email: str
    role: Role
    branch: str = ""
    branches: tuple[str, ...] = ()
    products: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """A staff account. `id` names the person in the store's keys, `username` is what they sign in with: the same, but
    for accounts that were made elsewhere.
    """

    id: str
    username: str
    first: str
    last: str
    email: str
    role: Role | None
    active: bool
    has_password: bool
    branch: str
    branches: tuple[str, ...]
    products: tuple[str, ...]
    last_login: datetime | None

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}".strip()

    @property
    def facts(self) -> dict[str, Any]:
        """As a form takes them."""
        names = ("first", "last", "email", "role", "branch", "branches", "products")
        return {name: getattr(self, name) for name in names}

    @property
    def seal(self) -> str:
        """Changes whenever any of it does, so that a form tells what it was made from."""
        told = json.dumps([self.id, self.active, *map(str, self.facts.values())])
        return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()[:16]


# -- who there is


@dataclass(frozen=True)
class Filter:
    """What the list is restricted to; `words` are looked for in number, name and e-mail."""

    words: str = ""
    role: Role | None = None
    active: bool | None = None


def listing(wanted: Filter, cursor: Cursor | None = None) -> Page[Account]:
    """One page of the accounts, by user name. Six queries."""
    fitting = _fitting(wanted)
    total = fitting.count()
    before = cursor is not None and cursor.before
    rows = fitting.order_by("-username" if before else "username")
    if cursor:
        rows = rows.filter(username__lt=cursor.member) if before else rows.filter(username__gt=cursor.member)
    found = list(_read(rows[:PAGE]))
    if before:
        found.reverse()
    if not found:
        return Page([], 0, total, None, None)
    earlier = fitting.filter(username__lt=found[0].username).count()
    last = earlier + len(found)
    return Page(
        [_account(user) for user in found],
        earlier + 1,
        total,
        Cursor(0, found[0].username, before=True) if earlier else None,
        Cursor(0, found[-1].username) if last < total else None,
    )


def totals(wanted: Filter) -> dict[str, int]:
    """How many accounts fit for each role, under "" for all, and under `closed` for those that are. Five queries."""
    found: dict[str, int] = {role: _fitting(replace(wanted, role=role)).count() for role in ROLES}
    every = _fitting(replace(wanted, role=None))
    return {"": every.count(), "closed": _fitting(replace(wanted, role=None, active=False)).count(), **found}


def find(name: str) -> Account | None:
    """The account that this number means, however its letters are written. Two queries."""
    user = _find(name)
    return _account(user) if user else None


def get(person: str) -> Account:
    """Raises NotFound."""
    found = find(person)
    if found is None:
        raise NotFound(f"There is no staff account {person[:64]}.")
    return found


def factors(person: str) -> Factors:
    """What the account has of second factors. Five queries. Raises NotFound."""
    user, account = _locked(person)
    return second_factor.of(user, account.role)


def branches() -> list[str]:
    """Every branch that a profile names. One query."""
    named = Staff.objects.values_list("branch", "branch_access")
    return sorted({each for branch, others in named for each in (branch, *_texts(others)) if each})


def _fitting(wanted: Filter) -> QuerySet[Any]:
    found = get_user_model().objects.all()
    if wanted.words:
        said = Q()
        for name in ("username", "first_name", "last_name", "email", "staff__staff_id"):
            said |= Q(**{f"{name}__icontains": wanted.words})
        found = found.filter(said)
    if wanted.active is not None:
        found = found.filter(is_active=wanted.active)
    if wanted.role:
        found = found.filter(_has_role(wanted.role))
    return found


def _has_role(role: Role) -> Q:
    """As accounts.role_of has it: of several groups the first in ROLES counts, and a superuser without one is an admin."""
    in_group = [Q(pk__in=get_user_model().objects.filter(groups__name=each).values("pk")) for each in ROLES]
    at = ROLES.index(role)
    has = in_group[at] | Q(is_superuser=True) if role == "admin" else in_group[at]
    for before in in_group[:at]:
        has &= ~before
    return has


def _find(name: str) -> Any | None:
    folded = security.fold(name)
    named = Q(username__iexact=folded) | Q(staff__staff_id__iexact=folded)
    found = [
        user for user in _read(get_user_model().objects.filter(named)) if folded in map(security.fold, _names(user))
    ]
    exact = [user for user in found if name in _names(user)]
    return (exact or found or [None])[0]


def _names(user: Any) -> tuple[str, str]:
    return user.get_username(), _account(user).id


def _read(users: QuerySet[Any]) -> QuerySet[Any]:
    return users.select_related("staff").prefetch_related("groups")


def _account(user: Any) -> Account:
    profile = getattr(user, "staff", None)
    return Account(
        id=profile.staff_id if profile else user.get_username(),
        username=user.get_username(),
        first=user.first_name,
        last=user.last_name,
        email=user.email,
        role=accounts.role_among(user, [group.name for group in user.groups.all()]),
        active=user.is_active,
        has_password=user.has_usable_password(),
        branch=profile.branch if profile else "",
        branches=_texts(profile.branch_access) if profile else (),
        products=tuple(each for each in keys.PRODUCTS if profile and each in _texts(profile.product_access)),
        last_login=user.last_login,
    )


def _texts(value: object) -> tuple[str, ...]:
    """What somebody put into a JSON field, as far as it is the list that belongs there."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


# -- changing accounts


def create(person: str, facts: Facts, *, by: str, token: str | None = None) -> bool:
    """A new account, without a password: its owner chooses one by a reset. Whether it was made by this very call, and
    not by the same form before. Raises Invalid.
    """

    def write() -> tuple[str, str]:
        _check_free(person)
        _check(facts)
        user = get_user_model()(username=person)
        user.set_unusable_password()
        _write(user, person, facts)
        return person, f"Account created by {by}: {_described(facts)}"

    return _change(write, by=by, token=token)


def edit(person: str, facts: Facts, *, seen: str, by: str, token: str | None = None) -> Account:
    """Other facts. Gives the account as it was before. Where other rights are among them the person's sessions end: each
    keeps the rights that it began with, as far as the account has them still, so the new ones come with the next.

    Raises Conflict when it is no longer what the form was made from, Invalid, and Forbidden for one's own admin role.
    """
    before = get(person)

    def write() -> tuple[str, str]:
        nonlocal before
        user, before = _locked(person)
        if before.seal != seen:
            raise Conflict("Somebody has changed this account since. Look at it again, and change what is still wrong.")
        if before.id == by and facts.role != before.role:
            raise Invalid({"role": "Nobody takes their own role away. Another admin can."})
        if not facts.email and second_factor.wants_email(user):
            raise Invalid({"email": "Sign-in codes are sent there. Without it the password alone would do."})
        _check(facts)
        _write(user, before.id, facts)
        _check_an_admin_stays()
        return before.id, f"Account changed by {by}: {_differences(before, facts)}"

    if replace(before, **vars(facts)) == before:
        return before
    _change(write, by=by, token=token)
    if before.email != facts.email:
        codes.end_all(security.account_of(before.username))  # what is on its way goes to the former address
    if any(getattr(before, right) != getattr(facts, right) for right in _RIGHTS):
        _end_sessions(before.id, by, "the account's rights were changed")
    return before


def close(person: str, *, by: str, token: str | None = None) -> None:
    """Nobody signs in with it any more, and its sessions end at once. Raises Conflict where it is closed already, and
    Forbidden for one's own.
    """

    def write() -> tuple[str, str]:
        user, before = _locked(person)
        if before.id == by:
            raise Forbidden("Nobody closes their own account. Another admin can.")
        if not before.active:
            raise Conflict(f"The account {before.id} is closed already.")
        user.is_active = False
        user.save(update_fields=["is_active"])
        _check_an_admin_stays()
        return before.id, f"Account closed by {by}"

    _change(write, by=by, token=token)
    codes.end_all(security.account_of(get(person).username))
    _end_sessions(get(person).id, by, "the account was closed")


def reopen(person: str, *, by: str, token: str | None = None) -> None:
    """Its password holds again. Raises Conflict where it is open."""

    def write() -> tuple[str, str]:
        user, before = _locked(person)
        if before.active:
            raise Conflict(f"The account {before.id} is open.")
        user.is_active = True
        user.save(update_fields=["is_active"])
        return before.id, f"Account opened again by {by}"

    _change(write, by=by, token=token)


def revoke_password(person: str, *, by: str, token: str | None = None) -> bool:
    """The password holds no longer, and the person's sessions end: only a reset leads to a new one. Whether it was done
    by this very call. Raises Forbidden for one's own, Conflict for a closed account.
    """

    def write() -> tuple[str, str]:
        user, before = _locked(person)
        if before.id == by:
            raise Forbidden("Change your own password on your account's page.")
        if not before.active:
            raise Conflict(f"The account {before.id} is closed. Open it first.")
        user.set_unusable_password()
        user.save(update_fields=["password"])
        return before.id, f"Password taken away by {by}: a new one has to be chosen"

    done = _change(write, by=by, token=token)
    _end_sessions(get(person).id, by, "the password was taken away")
    return done


def remove_second_factor(person: str, *, by: str, token: str | None = None) -> None:
    """For who has lost theirs: authenticator, codes by e-mail and recovery codes. The person's sessions end, for whoever
    has found it may be in. Raises Conflict where there is none, Forbidden for one's own.
    """

    def write() -> tuple[str, str]:
        user, before = _locked(person)
        if before.id == by:
            raise Forbidden("Change your own second factor on your account's page.")
        if not second_factor.of(user, before.role).any:
            raise Conflict(f"{before.id} has no second factor.")
        second_factor.remove_authenticator(user)
        second_factor.switch_email(user, False)
        return before.id, f"Second factor taken away by {by}"

    _change(write, by=by, token=token)
    _end_sessions(get(person).id, by, "the second factor was taken away")


# -- what each change passes


def _change(write: Callable[[], tuple[str, str]], *, by: str, token: str | None) -> bool:
    """`write` checks and writes the accounts, and gives whom it is about and what goes on record. Whether it was done,
    and not by the same form before.
    """
    with transaction.atomic():
        _take_turn()
        if token and store.is_done(token):
            return False
        _check_still_admin(by)
        person, text = write()

        def record(draft: Change) -> bool:
            audit.append(draft, audit.SECURITY, security.account_of(person), text=text, by=by)
            draft.event("security", person)
            return True

        store.change(record, token=token)
    return True


def _take_turn() -> None:
    """One change at a time, so that two admins cannot each close the other. SQLite has one writer anyway (transactions
    begin as such, see the settings); elsewhere this row is waited for.
    """
    Group.objects.select_for_update().get_or_create(name="admin")


def _check_still_admin(by: str) -> None:
    found = find(by)
    if found is None or not found.active or found.role != "admin":
        raise Forbidden("Your account may not do this any more.")


def _check_an_admin_stays() -> None:
    if not _fitting(Filter(role="admin", active=True)).exists():
        raise Conflict("This is the last admin. Make somebody else one first.")


def _check_free(person: str) -> None:
    if security.account_of(person) != person:
        raise Invalid({"id": "Capitals and digits: sign-in tells no small letters from them."})
    if _find(person) is not None:
        raise Invalid({"id": "There is an account with this number."})
    if keys.is_customer(person) and customers.get(redis.client(), person).known:
        raise Invalid({"id": "A customer has this number: locks and codes of the two would be one."})


def _check(facts: Facts) -> None:
    if facts.role == "agent" and not facts.branch:
        raise Invalid({"branch": "An agent belongs to a branch: it is who sees their policies and claims."})
    if facts.role == "agent" and not facts.products:
        raise Invalid({"products": "Without a product an agent sees nothing."})


def _locked(person: str) -> tuple[Any, Account]:
    """The account, from within the turn. Raises NotFound."""
    user = _find(person)
    if user is None:
        raise NotFound(f"There is no staff account {person[:64]}.")
    return user, _account(user)


def _write(user: Any, person: str, facts: Facts) -> None:
    """The groups before the profile: when that is saved, the agents' branches are copied into the store, on commit."""
    user.first_name, user.last_name, user.email = facts.first, facts.last, facts.email
    if facts.role != "admin":
        user.is_superuser = False
    user.save()
    others = user.groups.exclude(name__in=ROLES)
    user.groups.set([Group.objects.get_or_create(name=facts.role)[0], *others])
    profile = Staff.objects.filter(user=user).first() or Staff(user=user, staff_id=person)
    profile.branch, profile.branch_access = facts.branch, list(facts.branches)
    profile.product_access = list(facts.products)
    profile.save()


def _end_sessions(person: str, by: str, why: str) -> None:
    """Also for a form that is sent again: where the store went away in between, it is done then."""
    sessions.end_all(person, by, why)


# -- in words


def _described(facts: Facts) -> str:
    told = [facts.role, f"branch {facts.branch or 'none'}"]
    told += [
        f"{name} {_listed(values)}" for name, values in (("branches", facts.branches), ("products", facts.products))
    ]
    return ", ".join(told)


def _differences(before: Account, facts: Facts) -> str:
    was, becomes = before.facts, vars(facts)
    changed = [name for name in was if was[name] != becomes[name]]
    return "; ".join(f"{_WORDS[name]} from {_shown(was[name])} to {_shown(becomes[name])}" for name in changed)


_WORDS = {"first": "first name", "last": "last name", "email": "e-mail"} | {name: name for name in _RIGHTS}


def _shown(value: object) -> str:
    return _listed(value) if isinstance(value, tuple) else str(value or "none")


def _listed(values: Sequence[str]) -> str:
    return " and ".join(values) or "none"
