"""Forms for servicing a policy: endorsement, renewal, cancellation, reinstatement, change of agent; for one or many."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from django import forms

from dashboard import clock
from dashboard.forms.fields import Day, Identifier, Money, Text
from dashboard.forms.policies import FORMS, KeepingChoice
from dashboard.repository import policy_service as service
from dashboard.repository.policies import Policy, facts_of
from dashboard.repository.values import dollars, plain, readable

ENDORSED = {**service.ENDORSABLE, "life": ("premium_monthly", "coverage_amount", "term_years")}
"""What an endorsement asks for. Of a life policy's two premiums the monthly one; the other follows."""


class Served(forms.Form):
    """What every service's form carries: a fingerprint of the policy it was made from."""

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, policy: Policy, stored: dict[str, str], **kwargs: Any) -> None:
        super().__init__(data, initial={"seen": policy.seen} | self.first(policy, stored))

    def first(self, policy: Policy, stored: dict[str, str]) -> dict[str, Any]:
        """What the fields hold before anybody types."""
        return {}

    def renew(self, policy: Policy) -> None:
        """Take the policy's present fingerprint: who sends the form once more has been told what changed."""
        self.data = {**{name: self.data[name] for name in self.data}, "seen": policy.seen}


class WithDay(Served):
    """A service that takes effect on a day of the running term, for a reason."""

    effective = Day(
        label="Takes effect on", help_text="A day of the term. One to come is planned, and done on that day."
    )
    reason = Text(label="Reason", max_length=200, help_text="One line; it stays in the policy’s history.")

    def __init__(self, data: Any = None, *, policy: Policy, **kwargs: Any) -> None:
        super().__init__(data, policy=policy, **kwargs)
        self.fields["effective"].widget.attrs["max"] = (policy.expires or clock.today()).isoformat()

    def first(self, policy: Policy, stored: dict[str, str]) -> dict[str, Any]:
        return {"effective": clock.today()}


class Endorse(WithDay):
    def __init__(self, data: Any = None, *, policy: Policy, stored: dict[str, str]) -> None:
        super().__init__(data, policy=policy, stored=stored)
        self.names = ENDORSED[policy.product]
        for name in self.names:
            self.fields[name] = field = deepcopy(FORMS[policy.product].base_fields[name])
            if isinstance(field, KeepingChoice):
                field.keep(readable(stored.get(name, "")))
        if policy.product == "auto":
            # Other tools name the vehicle in the details alone.
            self.fields["vehicle"].widget.attrs["placeholder"] = policy.subject
        if policy.product == "life":
            self.fields["premium_monthly"].required = True
            self.fields["premium_monthly"].help_text = "A year is twelve times this."
            self.fields["term_years"].help_text = "Another length moves the policy’s end."
        self.order_fields([*self.names, "effective", "reason"])

    def first(self, policy: Policy, stored: dict[str, str]) -> dict[str, Any]:
        texts = {name: readable(text) for name, text in stored.items()}
        return super().first(policy, stored) | texts | _monthly(policy.premium_monthly, policy)

    @property
    def facts(self) -> dict[str, str]:
        return facts_of(**{name: self.cleaned_data[name] for name in self.names})


class Renew(Served):
    """A new term. While the policy covers, it follows on; only one past its end can begin anew on another day."""

    premium = Money(label="Premium a year", above=0)
    premium_monthly = Money(label="Premium a month", above=0, help_text="A year is twelve times this.")
    begins = Day(label="Begins on")
    ends = Day(label="Ends on")

    def __init__(self, data: Any = None, *, policy: Policy, stored: dict[str, str]) -> None:
        super().__init__(data, policy=policy, stored=stored)
        self.names = ("premium_monthly",) if policy.product == "life" else ("premium",)
        del self.fields["premium" if policy.product == "life" else "premium_monthly"]
        first = service.new_term(policy)
        if policy.days_left is not None and policy.days_left >= 0 and policy.status != "LAPSED":
            self.fields["begins"].disabled = True
            self.fields["begins"].help_text = "On the day the running term ends: no gap in the cover."
        elif first < clock.today():
            self.fields["begins"].help_text = "The end of the last term leaves no gap; a later day does."
        self.fields[self.names[0]].help_text = self._proposed(policy)

    def first(self, policy: Policy, stored: dict[str, str]) -> dict[str, Any]:
        begins = service.new_term(policy)
        found = {"begins": begins, "ends": service.term_end(policy, begins)}
        if policy.product == "life":
            return found | _monthly(service.proposal(policy.premium_monthly), policy)
        proposed = service.proposal(policy.premium)
        return found | {"premium": "" if proposed is None else plain(proposed)}

    @staticmethod
    def _proposed(policy: Policy) -> str:
        now = policy.premium_monthly if policy.product == "life" else policy.premium
        return f"Proposed: the present {dollars(now)} and {service.RENEWAL_RISE} %." if now is not None else ""

    @property
    def facts(self) -> dict[str, str]:
        return facts_of(**{name: self.cleaned_data[name] for name in self.names})


class Cancel(WithDay):
    pass


class Reinstate(Served):
    reason = Text(label="Reason", max_length=200, help_text="One line; it stays in the policy’s history.")


class ChangeAgent(Served):
    agent = Identifier(label="New agent", help_text="Their number, such as AG001.")
    reason = Text(label="Reason", max_length=200, help_text="One line; it stays in the policy’s history.")

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["agent"].widget.attrs["list"] = "agents"

    def clean_agent(self) -> str:
        return str(self.cleaned_data["agent"]).upper()


class Reassign(forms.Form):
    """Many policies to one agent."""

    agent = Identifier(label="New agent", help_text="Their number, such as AG001.")
    reason = Text(label="Reason", max_length=200, help_text="One line; it stays in each policy’s history.")

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.fields["agent"].widget.attrs["list"] = "agents"

    def clean_agent(self) -> str:
        return str(self.cleaned_data["agent"]).upper()


def _monthly(premium: Any, policy: Policy) -> dict[str, str]:
    """The monthly premium as somebody would type it; a twelfth of the yearly one where only that is known."""
    if policy.product != "life":
        return {}
    if premium is None and policy.premium is not None:
        premium = round(policy.premium / 12, 2)
    return {"premium_monthly": "" if premium is None else plain(premium)}
