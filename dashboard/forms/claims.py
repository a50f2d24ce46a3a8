"""Forms for each step of a claim: first notice of loss, assignment, investigation, approval, denial."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard import clock
from dashboard.forms.fields import Identifier, Money, Text
from dashboard.repository.claims import Claim
from dashboard.repository.values import LONGEST, dollars, plain

KINDS = ("Auto Accident", "Auto Theft", "Glass Damage", "Hail Damage", "Fire", "Water Damage", "Burglary", "Liability")
"""Suggestions; anything else can be typed."""


class Moment(forms.DateTimeField):
    """A point in time in the business's zone, with the browser's own picker."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"))
        super().__init__(**kwargs)


class PolicyNumber(forms.CharField):
    """`auto:100001`, or its number alone. Whether there is such a policy is for the view to find out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=80, **kwargs)
        self.widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}


class Report(forms.Form):
    """First notice of loss. Whoever calls may know little: only what happened is needed."""

    summary = Text(label="What happened", max_length=120, help_text="In a few words, such as Auto Accident.")
    incident_date = Moment(label="When", required=False)
    location = Text(label="Where", required=False, max_length=300, help_text="Such as I-35 and Main St, Dallas TX.")
    policy = PolicyNumber(label="Policy", required=False, help_text="Such as auto:100001. Empty if not known yet.")
    customer = Identifier(label="Customer", required=False, help_text="Empty: the policy’s.")
    reporter = Text(label="Reported by", required=False, max_length=120, help_text="Empty: the customer.")
    estimated_amount = Money(label="Estimated amount", required=False, above=0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["summary"].widget.attrs["list"] = "kinds"
        latest = clock.now().astimezone(clock.zone())
        self.fields["incident_date"].widget.attrs["max"] = f"{latest:%Y-%m-%dT%H:%M}"

    def clean_incident_date(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["incident_date"]
        if at and at > clock.now():
            raise ValidationError("It cannot lie in the future.")
        return at

    def clean_customer(self) -> str:
        return str(self.cleaned_data["customer"]).upper()


class Assign(forms.Form):
    """Who investigates. The form carries whom they replace, so that two people assigning notice each other."""

    adjuster = Identifier(label="Adjuster", help_text="Their number, such as ADJ001.")
    estimate = Money(label="Estimated amount", required=False, above=0)
    instead_of = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        first = {"estimate": money(claim.estimated), "instead_of": claim.adjuster or ""}
        super().__init__(data, initial=first)
        if claim.adjuster:
            self.fields["adjuster"].help_text = f"In place of {claim.adjuster}."

    def clean_adjuster(self) -> str:
        return str(self.cleaned_data["adjuster"]).upper()


class Investigation(forms.Form):
    """What the adjuster found. The form carries a fingerprint of the claim it was made from."""

    photos = forms.IntegerField(label="Photos", min_value=0, max_value=10_000)
    witness_statements = forms.IntegerField(label="Witness statements", min_value=0, max_value=10_000)
    estimate = Money(label="Estimated amount", required=False, above=0)
    notes = forms.CharField(label="Notes", required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 6}))
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        first = {
            "photos": claim.photos or 0,
            "witness_statements": claim.witness_statements or 0,
            "estimate": money(claim.estimated),
            "notes": claim.notes,
            "seen": claim.seen,
        }
        super().__init__(data, initial=first)

    def clean_seen(self) -> str | None:
        return self.cleaned_data["seen"] or None

    def clean_notes(self) -> str:
        return str(self.cleaned_data["notes"]).replace("\r\n", "\n")


class Reserve(forms.Form):
    """What is set aside. The form carries what it replaces, so that two people setting it notice each other."""

    reserve = Money(label="Reserve", help_text="0 releases it.")
    instead_of = Money(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        first = claim.estimated if claim.reserve is None else claim.reserve
        super().__init__(data, initial={"reserve": money(first), "instead_of": money(claim.reserve)})


class Approve(forms.Form):
    final_amount = Money(label="Final amount", above=0, help_text="What will be paid.")

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        super().__init__(data, initial={"final_amount": money(claim.amount)})


class SendBack(forms.Form):
    reason = Text(label="What is to be done", max_length=500, help_text="One line, for the adjuster and the agent.")

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        super().__init__(data)


class Pay(forms.Form):
    """A payment. The form carries what was paid when it was shown, so that nothing is paid twice by two people."""

    amount = Money(label="Amount", above=0)
    paid_before = Money(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        super().__init__(data, initial={"amount": money(claim.unpaid), "paid_before": money(claim.paid or Decimal(0))})
        if claim.unpaid is not None:
            self.fields["amount"].help_text = f"{dollars(claim.unpaid)} is left to pay."

    def clean_paid_before(self) -> Decimal:
        return self.cleaned_data["paid_before"] or Decimal(0)


class Close(forms.Form):
    """Nothing to fill in: a question."""

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        super().__init__(data)


class Reopen(forms.Form):
    reason = Text(label="Reason", max_length=500, help_text="What is new about it; it stays in the history.")

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        super().__init__(data)


class Deny(forms.Form):
    reason = Text(
        label="Reason", max_length=500, help_text="One line; it stays with the claim, and the customer may be told it."
    )

    def __init__(self, data: Any = None, *, claim: Claim) -> None:
        super().__init__(data)


def money(value: Any) -> str:
    """An amount as somebody would type it; "" for none."""
    return "" if value is None else plain(value)
