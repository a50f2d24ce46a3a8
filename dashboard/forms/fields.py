"""The fields that forms of all pages are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard import keys
from dashboard.errors import Invalid
from dashboard.repository.values import amount, fits_text


class Identifier(forms.CharField):
    """A number or name that can stand in a key: no spaces, none of : * ? [ ] { } | , /"""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 64)
        super().__init__(**kwargs)
        self.widget.attrs |= {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "characters"}

    def validate(self, value: str) -> None:
        super().validate(value)
        if value and not keys.is_identifier(value):
            raise ValidationError("No spaces and none of : * ? [ ] { } | , / in a number.")


class Text(forms.CharField):
    """One line of text that the customer's tools can split again: no | and no control characters."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 200)
        super().__init__(**kwargs)
        self.widget.attrs |= {"autocomplete": "off"}

    def validate(self, value: str) -> None:
        super().validate(value)
        if value and not fits_text(value):
            raise ValidationError("No | and no control characters, please.")


class Vin(Text):
    """A VIN as it is typed or stored, whatever its form: what is odd about it is said beside the field, never refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widget.attrs |= {"spellcheck": "false", "autocapitalize": "characters"}


class Money(forms.CharField):
    """An amount in dollars as people type it: 1200, 1,200.50, $1,200. Cleans to a Decimal or None."""

    largest = Decimal(1_000_000_000)
    prefix = "$"

    def __init__(self, *, above: int = -1, **kwargs: Any) -> None:
        """`above`: the amount must be larger than this."""
        kwargs.setdefault("max_length", 20)
        super().__init__(**kwargs)
        self.above = Decimal(above)
        self.widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        found = amount(text)
        if found is None:
            raise ValidationError("Give an amount in dollars, such as 1200 or 950.50.")
        if found != round(found, 2):
            raise ValidationError("Cents have two digits.")
        if not self.above < found <= self.largest:
            raise ValidationError("More than 0, please." if self.above == 0 else "Give an amount from 0 to a billion.")
        return found


class Day(forms.DateField):
    """A date, with the browser's own picker."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
        super().__init__(**kwargs)


def refuse(form: forms.BaseForm, error: Invalid) -> None:
    """Put what the repository refused beside the fields it is about."""
    for name, words in error.fields.items():
        form.add_error(name if name in form.fields else None, words)
