"""The form for a customer: who they are, and what they prefer."""

from __future__ import annotations

from typing import Any

from django import forms

from dashboard.forms.fields import Day, Identifier, Text
from dashboard.forms.policies import KeepingChoice
from dashboard.repository.customers import Customer, facts_of

WAYS = (("", "Not said"), ("email", "E-mail"), ("phone", "Phone"), ("sms", "Text message"), ("mail", "Letter"))
YES_NO = (("", "Not said"), ("yes", "Yes"), ("no", "No"))
PAYMENTS = (("", "Not said"), ("AUTO_PAY", "Automatic payment"), ("INVOICE", "Invoice"), ("CARD", "Card"))


class KeepingDay(Text):
    """A date as other tools wrote it, whatever its form; a date picker where it is one."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 40)
        super().__init__(**kwargs)
        self.widget.attrs |= {"placeholder": "1985-03-15"}


class CustomerForm(forms.Form):
    """Fields by the names that customers.create and customers.edit take."""

    name = Text(label="Name", max_length=120)
    born = Day(label="Born on", required=False)
    phone = Text(label="Phone", required=False, max_length=40)
    email = forms.EmailField(label="E-mail", required=False, max_length=120)
    address = Text(label="Address", required=False, help_text="Such as 456 Oak St, Dallas TX 75201.")
    customer_since = Day(label="Customer since", required=False)
    risk_score = forms.IntegerField(label="Risk score", required=False, min_value=0, max_value=9_999)
    credit_score = forms.IntegerField(label="Credit score", required=False, min_value=0, max_value=9_999)
    communication_preference = KeepingChoice(label="Reach them by", required=False, choices=WAYS)
    marketing_opt_in = KeepingChoice(label="Marketing", required=False, choices=YES_NO)
    payment_method = KeepingChoice(label="Pays by", required=False, choices=PAYMENTS)
    preferred_agent = Identifier(label="Preferred agent", required=False)

    WHO = (
        "name", "born", "phone", "email", "address", "customer_since", "risk_score", "credit_score",
    )  # fmt: skip
    PREFERENCES = ("communication_preference", "marketing_opt_in", "payment_method", "preferred_agent")

    def __init__(self, *args: Any, customer: Customer | None = None, **kwargs: Any) -> None:
        """`customer` fills the form for an edit. What other tools wrote in a form of their own is kept as text."""
        told = facts_of(customer) if customer else {}
        if told:
            kwargs["initial"] = {**told, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if isinstance(field, KeepingChoice):
                field.keep(told.get(name))
            elif told.get(name) and not _fits(field, told[name]):
                self.fields[name] = KeepingDay(label=field.label, required=False, help_text="Kept as it was written.")

    @property
    def facts(self) -> dict[str, str]:
        return {name: "" if value is None else str(value) for name, value in self.cleaned_data.items()}

    @property
    def who(self) -> list[forms.BoundField]:
        return [self[name] for name in self.WHO]

    @property
    def preferences(self) -> list[forms.BoundField]:
        return [self[name] for name in self.PREFERENCES]


def _fits(field: forms.Field, stored: str) -> bool:
    """Whether the field gives back just what is stored: an edit of another field must not change this one."""
    try:
        return str(field.clean(stored)) == stored
    except forms.ValidationError:
        return False
