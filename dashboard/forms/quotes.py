"""Forms for a new quote of each product, and for binding one."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from django import forms
from django.core.exceptions import ValidationError

from dashboard import clock
from dashboard.forms.fields import Day, Identifier, Money, Text
from dashboard.repository.policies import facts_of
from dashboard.repository.quotes import Quote

RISKS = (("", "Not assessed"), ("LOW", "Low"), ("MEDIUM", "Medium"), ("HIGH", "High"))


class NewQuote(forms.Form):
    """What every quote has. Subclasses add their product's fields."""

    product = ""
    customer = Identifier(label="Customer", help_text="Their number, such as CUST004.")
    risk_level = forms.ChoiceField(label="Risk", choices=RISKS, required=False)
    agent = forms.ChoiceField(label="Agent", required=False)

    def __init__(self, *args, agents: list[str], agent: str = "", **kwargs) -> None:  # type: ignore[no-untyped-def]
        """`agents`: whom the quote may be given to; an agent quotes for themselves and is not asked."""
        super().__init__(*args, **kwargs)
        if agent:
            del self.fields["agent"]
        else:
            self.fields["agent"].choices = [("", "Nobody yet"), *((each, each) for each in agents)]  # type: ignore[attr-defined]
        self.own_agent = agent

    @property
    def facts(self) -> dict[str, str]:
        facts = facts_of(**self.cleaned_data)
        return facts | ({"agent": self.own_agent} if self.own_agent else {})

    def clean_customer(self) -> str:
        return str(self.cleaned_data["customer"]).upper()


class AutoQuote(NewQuote):
    product = "auto"
    vehicle = Text(label="Vehicle", help_text="Make, model and year, such as Honda Civic 2023.")
    vehicle_vin = Identifier(label="VIN", required=False, max_length=17)
    premium = Money(label="Premium a year", above=0)
    coverage_type = Text(label="Coverage", required=False, max_length=60)
    coverage_limits = Text(label="Limits", required=False, max_length=40, help_text="Such as 100/300/50.")
    deductible = Money(label="Deductible", required=False)
    field_order = (
        "customer",
        "agent",
        "vehicle",
        "vehicle_vin",
        "premium",
        "risk_level",
        "coverage_type",
        "coverage_limits",
    )


class HomeQuote(NewQuote):
    product = "home"
    property_address = Text(label="Address", help_text="Such as 123 Main St, Dallas TX 75201.")
    property_value = Money(label="Value of the property", above=0)
    premium = Money(label="Premium a year", above=0)
    coverage_type = forms.ChoiceField(
        label="Coverage",
        choices=(
            ("FULL_REPLACEMENT", "Full replacement"),
            ("ACTUAL_CASH_VALUE", "Actual cash value"),
            ("BASIC", "Basic"),
        ),
    )
    deductible = Money(label="Deductible", required=False)
    field_order = ("customer", "agent", "property_address", "property_value", "premium", "risk_level", "coverage_type")


class LifeQuote(NewQuote):
    product = "life"
    coverage_amount = Money(label="Sum insured", above=0)
    term_years = forms.IntegerField(label="Term in years", min_value=1, max_value=60)
    premium_monthly = Money(label="Premium a month", above=0)
    medical_exam_required = forms.ChoiceField(
        label="Medical exam", choices=(("no", "Not required"), ("yes", "Required"))
    )
    field_order = ("customer", "agent", "coverage_amount", "term_years", "premium_monthly", "risk_level")


FORMS: dict[str, type[NewQuote]] = {"auto": AutoQuote, "home": HomeQuote, "life": LifeQuote}


class Bind(forms.Form):
    """The day the policy begins, and what the quote lacks."""

    effective = Day(label="Begins on", help_text="Today, or up to 60 days ahead.")

    def __init__(self, *args, quote: Quote | None, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        self.fields["effective"].initial = clock.today()
        # Without the quote (it ended meanwhile) the fields that were sent stay, so that nothing typed is lost.
        if not quote.customer if quote else "customer" in self.data:
            self.fields["customer"] = Identifier(label="Customer", help_text="The quote names none.")
        if quote.product == "auto" and not quote.vin if quote else "vehicle_vin" in self.data:
            self.fields["vehicle_vin"] = Identifier(label="VIN", required=False, max_length=17)
        if quote.deductible is None and quote.product != "life" if quote else "deductible" in self.data:
            self.fields["deductible"] = Money(label="Deductible", required=False)

    def clean_effective(self) -> date:
        chosen: date = self.cleaned_data["effective"]
        if not clock.today() <= chosen <= clock.today() + timedelta(days=60):
            raise ValidationError("A policy begins today or within the next 60 days.")
        return chosen

    @property
    def extra(self) -> dict[str, str]:
        return facts_of(**{name: value for name, value in self.cleaned_data.items() if name != "effective"})


def yearly_premium(form: NewQuote) -> Decimal | None:
    """What has been typed so far, in dollars a year, for saying how long the quote will live."""
    data = getattr(form, "cleaned_data", {})
    monthly = data.get("premium_monthly")
    return monthly * 12 if monthly is not None else data.get("premium")
