"""Forms for a policy of each product: a new one, and changes to one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard import clock
from dashboard.errors import Invalid
from dashboard.forms.fields import Day, Identifier, Money, Text, Vin, refuse
from dashboard.repository.policies import STATUSES, Policy, facts_of
from dashboard.repository.policy_service import in_step
from dashboard.repository.values import readable

COVERAGES = (
    ("", "Not said"),
    ("FULL_REPLACEMENT", "Full replacement"),
    ("ACTUAL_CASH_VALUE", "Actual cash value"),
    ("BASIC", "Basic"),
)


class KeepingChoice(forms.ChoiceField):
    """A choice that also keeps what another tool wrote, though it is none of ours."""

    def keep(self, stored: str | None) -> None:
        known = {value for value, _ in self.choices}  # type: ignore[union-attr,misc,has-type]
        if stored and stored not in known:
            self.choices = [*self.choices, (stored, stored)]  # type: ignore[has-type,misc]


class PolicyForm(forms.Form):
    """What every policy has. Subclasses add their product's fields."""

    status = KeepingChoice(label="Status", choices=[(each, each.capitalize()) for each in STATUSES])
    customer = Identifier(label="Customer", help_text="Their number, such as CUST004.")
    agent = Identifier(label="Agent", required=False)
    premium = Money(label="Premium a year", above=0)
    effective_date = Day(label="Begins on", required=False)
    expiration_date = Day(label="Ends on", required=False)

    def __init__(
        self, *args: Any, policy: Policy | None = None, stored: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        """`policy` and its facts as they are `stored` fill the form for an edit."""
        texts = {name: readable(text) for name, text in (stored or {}).items()}
        if policy:
            kwargs["initial"] = {**texts, "effective_date": policy.effective, "expiration_date": policy.expires}
        # A stored date that is none cannot be shown in a date's field; left empty there, it is left as it is.
        self.unread = {name for name in ("effective_date", "expiration_date") if policy and texts.get(name)}
        self.unread -= {name for name in self.unread if kwargs["initial"][name]}
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if isinstance(field, KeepingChoice):
                field.keep(texts.get(name))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        begins, ends = data.get("effective_date"), data.get("expiration_date")
        if begins and ends and ends < begins:
            self.add_error("expiration_date", ValidationError("It cannot end before it begins."))
        return data

    @property
    def facts(self) -> dict[str, str]:
        kept = {name for name in self.unread if self.cleaned_data[name] is None}
        return facts_of(**{name: value for name, value in self.cleaned_data.items() if name not in kept})


class AutoPolicy(PolicyForm):
    vehicle = Text(label="Vehicle", required=False, help_text="Make, model and year, such as Honda Civic 2023.")
    vehicle_vin = Vin(label="VIN", required=False, max_length=40)
    coverage_limits = Text(label="Limits", required=False, max_length=40, help_text="Such as 100/300/50.")
    deductible = Money(label="Deductible", required=False)


class HomePolicy(PolicyForm):
    property_address = Text(label="Address", help_text="Such as 123 Main St, Dallas TX 75201.")
    property_value = Money(label="Value of the property", required=False)
    coverage_type = KeepingChoice(label="Coverage", required=False, choices=COVERAGES)
    deductible = Money(label="Deductible", required=False)


class LifePolicy(PolicyForm):
    """The two premiums are kept in step: the one that was changed leads. Without an end it is the term that ends it."""

    premium = Money(label="Premium a year", required=False, above=0, help_text="Or give the premium a month.")
    premium_monthly = Money(label="Premium a month", required=False, above=0)
    coverage_amount = Money(label="Sum insured", above=0)
    term_years = forms.IntegerField(label="Term in years", required=False, min_value=1, max_value=60)

    def __init__(self, *args: Any, policy: Policy | None = None, **kwargs: Any) -> None:
        super().__init__(*args, policy=policy, **kwargs)
        self.fields["expiration_date"].help_text = "Empty: as many years on as the term has."
        self._was = (policy.premium, policy.premium_monthly) if policy else (None, None)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        begins, years = data.get("effective_date"), data.get("term_years")
        if begins and years and not data.get("expiration_date"):
            data["expiration_date"] = clock.years_later(begins, years)
        if not {"premium", "premium_monthly"} & set(self.errors):
            try:
                both = in_step(data.get("premium"), data.get("premium_monthly"), self._was)
                data["premium"], data["premium_monthly"] = both
            except Invalid as error:
                refuse(self, error)
        return data


FORMS: dict[str, type[PolicyForm]] = {"auto": AutoPolicy, "home": HomePolicy, "life": LifePolicy}


def year_from_today(product: str) -> dict[str, Any]:
    """First values of a new policy: in force from today, for a year; a life policy for its term."""
    today = clock.today()
    ends = None if product == "life" else clock.years_later(today, 1)
    return {"status": "ACTIVE", "effective_date": today, "expiration_date": ends}
