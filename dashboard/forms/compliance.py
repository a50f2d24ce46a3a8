"""Forms of compliance: a payment, a review and its decision, a legal hold and its release."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard import clock, keys
from dashboard.forms.fields import Day, Identifier, Money, Text
from dashboard.repository import holds, payments, reviews


class Payment(forms.Form):
    """A payment that came in. Its number is made; whether there is such a customer is for the repository to find out."""

    customer = Identifier(label="Customer", help_text="Their number, such as CUST001.")
    amount = Money(label="Amount", above=0)
    day = Day(label="Day", help_text="On which it came in.")
    note = Text(label="Note", required=False, max_length=payments.LONGEST, help_text="Such as how it was paid.")

    def __init__(self, data: Any = None, *, customer: str = "") -> None:
        super().__init__(data, initial={"customer": customer, "day": clock.today().isoformat()})
        self.fields["day"].widget.attrs["max"] = clock.today().isoformat()

    def clean_customer(self) -> str:
        return str(self.cleaned_data["customer"]).upper()

    def clean_day(self) -> date:
        day: date = self.cleaned_data["day"]
        if day > clock.today():
            raise ValidationError("It cannot lie in the future.")
        return day


class PolicyId(forms.CharField):
    """`auto:100001`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=80, **kwargs)
        self.widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self, value: Any) -> tuple[str, str]:
        text = str(super().clean(value)).strip()
        found = keys.numbered([text])
        if not found:
            raise ValidationError("A product and a number, such as auto:100001.")
        return found[0][1], found[0][2]


class Review(forms.Form):
    policy = PolicyId(label="Policy", help_text="Such as auto:100001.")
    reason = Text(label="Reason", max_length=reviews.LONGEST, help_text="What is to be looked at; it goes on record.")

    def __init__(self, data: Any = None, *, policy: str = "") -> None:
        super().__init__(data, initial={"policy": policy})


class Decide(forms.Form):
    """The form carries a fingerprint of the review it was made from."""

    outcome = forms.ChoiceField(
        label="Decision", choices=(("cleared", "Cleared"), ("action", "Action needed")), widget=forms.RadioSelect
    )
    note = Text(
        label="Note", required=False, max_length=reviews.LONGEST, help_text="Needed where action is; it goes on record."
    )
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, review: reviews.Review) -> None:
        super().__init__(data, initial={"seen": review.seen})


class Hold(forms.Form):
    kind = forms.ChoiceField(label="What", choices=tuple(holds.KINDS.items()))
    of = forms.CharField(
        label="Which", max_length=300,
        help_text="The record’s key, a claim’s number, or product and number, such as auto:Q001.",
    )  # fmt: skip
    reason = Text(label="Reason", max_length=holds.LONGEST, help_text="It stands in the list of holds, and on record.")

    def __init__(self, data: Any = None, *, kind: str = "", of: str = "") -> None:
        super().__init__(data, initial={"kind": kind, "of": of})
        self.fields["of"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}


class Release(forms.Form):
    """A question; where records would end at once, that is confirmed, with how many there were."""

    ending = forms.IntegerField(required=False, min_value=0, max_value=100_000, widget=forms.HiddenInput)
    confirmed = forms.BooleanField(required=False)

    def __init__(self, data: Any = None, *, over: int = 0) -> None:
        super().__init__(data, initial={"ending": over})
        if not over:
            del self.fields["confirmed"]
        else:
            self.fields["confirmed"].label = f"End the {over} whose time has passed"

    @property
    def accepted(self) -> int:
        """How many records the person agrees to end."""
        return (self.cleaned_data.get("ending") or 0) if self.cleaned_data.get("confirmed") else 0
