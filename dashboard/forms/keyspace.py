"""Forms over the key space: another end for one key, and lifetimes in bulk."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard import clock, keys
from dashboard.repository import key_batch

UNITS = {"minutes": clock.MINUTE, "hours": clock.HOUR, "days": clock.DAY}
MOST = 100_000
"""Of any unit."""


def _amount(label: str, **kwargs: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=1, max_value=MOST, **kwargs)


class Lifetime(forms.Form):
    """So long from now."""

    amount = _amount("Ends in")
    unit = forms.ChoiceField(label="Unit", choices=[(unit, unit) for unit in UNITS], initial="minutes")

    @property
    def ms(self) -> int:
        return int(self.cleaned_data["amount"]) * UNITS[self.cleaned_data["unit"]]


class Batch(forms.Form):
    """Which keys, and what is done to their lifetimes. `params` are what the job is given."""

    family = forms.ChoiceField(label="Family", help_text="A thing with several keys is changed as a whole.")
    verb = forms.ChoiceField(
        label="What is done",
        choices=(
            ("extend", "Extend by"),
            ("shorten", "Shorten to at most"),
            ("persist", "Make permanent"),
        ),
    )
    amount = _amount("How long", required=False, help_text="Quotes are extended by their own lifetime instead.")
    unit = forms.ChoiceField(label="Unit", choices=[(unit, unit) for unit in UNITS], required=False)
    low = forms.IntegerField(label="Minutes left, from", min_value=0, max_value=10**7, required=False)
    high = forms.IntegerField(label="Minutes left, up to", min_value=1, max_value=10**7, required=False)
    product = forms.ChoiceField(
        label="Product", choices=[("", "Any"), *((each, each.capitalize()) for each in keys.PRODUCTS)], required=False
    )
    holds = forms.CharField(
        label="Name contains", max_length=64, required=False, help_text="Such as CUST001 or 2024-08."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(name, family.pattern) for name, family in key_batch.families_offered()]
        self.fields["family"].choices = offered  # type: ignore[attr-defined]
        self.fields["holds"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        low, high = found.get("low"), found.get("high")
        if low is not None and high is not None and low > high:
            raise ValidationError({"high": "No key has less than the first and more than the second."})
        if not found.get("amount") and found.get("verb") != "persist" and found.get("family") != "quote":
            raise ValidationError({"amount": "Say how long."})
        return found

    @property
    def params(self) -> dict[str, str]:
        given = self.cleaned_data
        return {
            "family": given["family"],
            "verb": given["verb"],
            "ms": str((given["amount"] or 0) * UNITS[given["unit"] or "minutes"]),
            "low": str((given["low"] or 0) * clock.MINUTE),
            "high": str((given["high"] or 0) * clock.MINUTE),
            "product": given["product"],
            "holds": given["holds"],
        }

    @property
    def title(self) -> str:
        """What the job is called: `Extend by 2 hours: session:customer:{person}:portal`."""
        given = self.cleaned_data
        pattern = keys.CATALOGUE[given["family"]].pattern
        if given["family"] == "quote":
            return "Extend quotes by their own lifetimes"
        words = dict(self.fields["verb"].choices)[given["verb"]]  # type: ignore[attr-defined]
        span = "" if given["verb"] == "persist" else f" {given['amount']} {given['unit']}"
        return f"{words}{span}: {pattern}"
