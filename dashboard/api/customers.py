"""Whose accounts the API is for: customers'. A client's token must not be a way to a staff member's account, by a reset
token or code issued for it, nor a way to close or forgive its sign-ins.
"""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db.models import Q

from dashboard import keys, redis
from dashboard.errors import Forbidden, Invalid
from dashboard.models import Staff
from dashboard.repository import lockouts
from dashboard.repository.lockouts import Closed
from dashboard.repository.security import account_of, fold


def account_called(name: str) -> str:
    """The account that is meant by this name, as it is counted. Raises Forbidden for a staff member's. Two queries."""
    account = account_of(name)
    if _is_staff(account, fold(name)):
        raise Forbidden("This is a staff account. The API is for those of customers.")
    return account


def open_account(name: str) -> str:
    """The same, while sign-in is open. Raises Closed, too."""
    account = account_called(name)
    until = lockouts.standing(redis.client(), account)
    if until is not None:
        raise Closed(until)
    return account


def person_called(number: str) -> str:
    """A customer's number. Raises Invalid, and Forbidden for a staff member's."""
    if not keys.is_customer(number):
        raise Invalid({"person": "No customer can be called that."})
    account_called(number)
    return number


def _is_staff(*spellings: str) -> bool:
    """Whether an account of ours, in use or not, has one of these names, in capitals or not."""
    names, numbers = Q(), Q()
    for each in spellings:
        names |= Q(username__iexact=each)
        numbers |= Q(staff_id__iexact=each)
    return get_user_model().objects.filter(names).exists() or Staff.objects.filter(numbers).exists()
