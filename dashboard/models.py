"""Accounts: what Django's user does not know about a staff member. Everything else lives in the store."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from dashboard import keys


def identifier(value: str) -> None:
    """It becomes part of key names."""
    if not keys.is_identifier(value):
        raise ValidationError("1 to 64 characters without spaces and none of : * ? [ ] { } | , /")


def identifiers(value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(each, str) and keys.is_identifier(each) for each in value):
        raise ValidationError("A list of identifiers.")


def products(value: object) -> None:
    if not isinstance(value, list) or not set(value) <= set(keys.PRODUCTS):
        raise ValidationError(f"A list of {', '.join(keys.PRODUCTS)}.")


class Staff(models.Model):
    """One staff member. `staff_id` (AG001) is the account's user name, and the agent in the customer's keys."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="staff")
    staff_id = models.CharField(max_length=64, unique=True, validators=[identifier])
    branch = models.CharField(max_length=64, blank=True, validators=[identifier])
    branch_access = models.JSONField(default=list, blank=True, validators=[identifiers])
    product_access = models.JSONField(default=list, blank=True, validators=[products])
    email_codes = models.BooleanField(default=False)
    """Whether a code by e-mail is asked for at sign-in."""

    class Meta:
        verbose_name_plural = "staff"

    def __str__(self) -> str:
        return self.staff_id


class ApiClient(models.Model):
    """A system that uses the API: the customer portal, a mobile app's server. Its token is kept as a digest. A revoked
    one stays, for its name stands in the records.
    """

    name = models.CharField(max_length=40, unique=True, validators=[identifier])
    digest = models.CharField(max_length=64, unique=True)
    abilities = models.JSONField(default=list)
    rate = models.PositiveIntegerField()
    """Requests a minute."""
    made_by = models.CharField(max_length=64)
    made = models.DateTimeField(auto_now_add=True)
    used = models.DateField(null=True)
    """The last day on which it asked for something."""
    revoked = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.name


class Anchor(models.Model):
    """What the chain over the audit records was at some moment, kept where the store cannot reach: so it is noticed when
    the chain's end is cut off, or the whole of it replaced by an older one.
    """

    links = models.PositiveBigIntegerField(unique=True)
    last = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.links} links on {self.at:%Y-%m-%d}"
