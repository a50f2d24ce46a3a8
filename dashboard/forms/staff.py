"""The forms for staff accounts: who somebody is, and what they may do and see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard import keys
from dashboard.forms.fields import Identifier, Text
from dashboard.permissions import ROLES
from dashboard.repository import security

_ROLES = tuple((role, role.capitalize()) for role in ROLES)
_PRODUCTS = tuple((product, product.capitalize()) for product in keys.PRODUCTS)


class Branches(forms.CharField):
    """Branches' names, separated by commas or spaces. Cleans to a tuple, each once, in order."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1_000, **kwargs)
        self.widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, tuple | list) else value

    def to_python(self, value: Any) -> Any:
        named = (super().to_python(value) or "").replace(",", " ").split()
        if not all(keys.is_identifier(each) for each in named):
            raise ValidationError("None of : * ? [ ] { } | / in the name of a branch.")
        return tuple(sorted(set(named)))

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise ValidationError(self.error_messages["required"])


class Account(forms.Form):
    """Fields by the names of staff.Facts."""

    first = Text(label="First name", max_length=60)
    last = Text(label="Last name", max_length=60)
    email = forms.EmailField(
        label="E-mail", required=False, max_length=120, help_text="Where letters for a new password go."
    )
    role = forms.ChoiceField(label="Role", choices=_ROLES)
    branch = Identifier(
        label="Branch", required=False, help_text="Of an agent: whose policies, quotes and claims these are."
    )
    branches = Branches(
        label="Sees branches", required=False, help_text="Of an agent, besides their own: dallas, fort_worth."
    )
    products = forms.MultipleChoiceField(
        label="Products", choices=_PRODUCTS, required=False, widget=forms.CheckboxSelectMultiple,
        help_text="Of an agent. Supervisors and admins see all branches and products.",
    )  # fmt: skip

    def __init__(self, *args: Any, known_branches: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.known_branches = known_branches
        self.fields["branch"].widget.attrs["list"] = "branches"

    def clean_products(self) -> tuple[str, ...]:
        return tuple(each for each in keys.PRODUCTS if each in self.cleaned_data["products"])

    @property
    def who(self) -> list[forms.BoundField]:
        return [self[name] for name in ("id", "first", "last", "email") if name in self.fields]

    @property
    def rights(self) -> list[forms.BoundField]:
        return [self[name] for name in ("role", "branch", "branches", "products")]


class NewAccount(Account):
    id = Identifier(
        label="User name", max_length=32, help_text="Such as AG004. It stays: records and policies carry it."
    )

    def clean_id(self) -> str:
        """As sign-in counts it: in capitals."""
        return security.fold(self.cleaned_data["id"]).upper()
