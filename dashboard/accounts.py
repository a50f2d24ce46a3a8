"""Staff accounts: who has which role, which branches and products are theirs, and the five accounts of the demo."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import F, Q
from django.db.models.signals import post_delete, post_save
from redis.exceptions import RedisError

from dashboard import keys, redis
from dashboard.errors import Forbidden
from dashboard.models import Staff
from dashboard.permissions import ROLES, Role, Viewer
from dashboard.repository import agents
from dashboard.repository.agents import Scope
from dashboard.repository.security import fold

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demo:
    """An account of the demo, as the customer's document has it where it has it (lines 120-127)."""

    id: str
    first: str
    last: str
    role: Role
    branch: str = ""
    branches: tuple[str, ...] = ()
    products: tuple[str, ...] = ()


DEMO = (
    Demo("AG001", "Dana", "Whitfield", "agent", "dallas", ("dallas", "fort_worth"), ("auto", "home", "life")),
    Demo("AG002", "Marcus", "Reyes", "agent", "houston", ("houston",), ("auto", "home")),
    Demo("AG003", "Priya", "Nair", "agent", "fort_worth", ("fort_worth",), ("auto", "home", "life")),
    Demo("SUP001", "Helen", "Brandt", "supervisor"),
    Demo("ADM001", "Tomas", "Eriksen", "admin"),
)


# -- who somebody is


def username_of(name: str) -> str:
    """The user name that is meant by what was typed; what was typed when there is none. One query, for known names
    as for unknown ones.
    """
    folded = fold(name)
    found = _users().filter(username__iexact=folded).values_list("username", flat=True)
    meant = [username for username in found if fold(username) == folded]
    return meant[0] if len(meant) == 1 else name


def called(name: str) -> Any | None:
    """The account that is meant by this name, if it may be used. One query, for known names as for unknown ones."""
    folded = fold(name)
    found = _users().filter(username__iexact=folded, is_active=True)
    meant = [user for user in found if fold(user.get_username()) == folded]
    return meant[0] if len(meant) == 1 else None


def person_of(user: Any) -> str:
    """The identifier under which an account acts: that of its profile, else its user name. One query."""
    return Staff.objects.filter(user=user).values_list("staff_id", flat=True).first() or user.get_username()


def role_of(user: Any) -> Role | None:
    """The role from the account's groups; where somebody put it in two, the one that comes first in ROLES.
    A superuser without a group is an admin. One query.
    """
    return role_among(user, user.groups.values_list("name", flat=True))


def role_among(user: Any, groups: Iterable[str | None]) -> Role | None:
    """The same, for who has read the groups' names already."""
    held = set(groups)
    for role in ROLES:
        if role in held:
            return role
    return "admin" if user.is_superuser else None


def viewer_for(user: Any, deadline: int) -> Viewer:
    """The account with its rights as they are now; `deadline` of its session in Unix ms. One query.

    Raises Forbidden for an account without a role, or whose name cannot stand in a key.
    """
    profiles = list(Staff.objects.filter(user=user).annotate(group=F("user__groups__name")))  # a row for each group
    staff = profiles[0] if profiles else None
    groups = [profile.group for profile in profiles]  # type: ignore[attr-defined]
    role = role_among(user, groups) if profiles else role_of(user)
    person = staff.staff_id if staff else user.get_username()
    if role is None or not user.is_active or not keys.is_identifier(person):
        raise Forbidden("This account has no role here. An administrator can give it one.")
    return Viewer(
        id=person,
        name=user.get_full_name() or person,
        role=role,
        branch=staff.branch if staff else "",
        scope=_scope(role, staff),
        deadline=deadline,
    )


def acting_as(person: str) -> Viewer | None:
    """The account that acts as this person, with its rights as they are now, signed in or not; None where no account
    does. Three queries at most.
    """
    found = _users().filter(Q(staff__staff_id=person) | Q(staff=None, username=person)).first()
    try:
        return viewer_for(found, 0) if found else None
    except Forbidden:
        return None


def _scope(role: Role, staff: Staff | None) -> Scope:
    if role != "agent":
        return Scope()
    if staff is None:
        return Scope(branches=frozenset(), products=frozenset())
    branches = {*staff.branch_access, staff.branch} - {""}
    return Scope(branches=frozenset(branches), products=frozenset(staff.product_access) & frozenset(keys.PRODUCTS))


# -- the store's copy


def sync_directory() -> None:
    """Copy the branch of every agent into the store. One query; one round trip, two when something changed."""
    found = Staff.objects.filter(user__groups__name="agent").exclude(branch="")
    branches = dict(found.values_list("staff_id", "branch"))
    client = redis.client()
    if not agents.is_kept(client, branches):
        agents.save(client, branches)


def follow_profiles() -> None:
    """From now on each change of a profile is copied."""
    for signal in (post_save, post_delete):
        signal.connect(_profile_changed, sender=Staff, dispatch_uid=f"directory-{id(signal)}")


def _profile_changed(**_: Any) -> None:
    transaction.on_commit(_sync_if_possible)


def _sync_if_possible() -> None:
    # The accounts are the truth and are saved by now; each sign-in copies again.
    try:
        sync_directory()
    except RedisError as error:
        log.warning("The branches could not be copied into the store: %s", type(error).__name__)


# -- the demo


@transaction.atomic
def create_demo(password: str) -> list[str]:
    """Make the accounts of the demo, or bring them back to what they were, and give them this password.
    Gives their names. May be run again at any time.
    """
    groups = {role: Group.objects.get_or_create(name=role)[0] for role in ROLES}
    for demo in DEMO:
        user = _demo_user(demo, password)
        user.groups.set([groups[demo.role]])
        facts = {
            "staff_id": demo.id,
            "branch": demo.branch,
            "branch_access": list(demo.branches),
            "product_access": list(demo.products),
        }
        Staff.objects.update_or_create(user=user, defaults=facts)
    return [demo.id for demo in DEMO]


def _demo_user(demo: Demo, password: str) -> User:
    user, _ = _users().get_or_create(username=demo.id)
    user.first_name, user.last_name = demo.first, demo.last
    if settings.DEMO:  # where letters are printed
        user.email = f"{demo.first}.{demo.last}@example.com".lower()
    if not user.check_password(password):  # the same password again leaves sessions as they are
        user.set_password(password)
    user.save()
    return user


def _users() -> Any:
    return get_user_model().objects
