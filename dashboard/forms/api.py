"""The form of a new client of the API."""

from __future__ import annotations

from django import forms
from django.core.validators import RegexValidator

from dashboard.api_clients import ABILITIES, RATES


class NewClient(forms.Form):
    name = forms.CharField(
        max_length=40,
        help_text="Small letters, digits and dashes. In the records it is api-name.",
        error_messages={"required": "A name, such as portal."},
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", "Small letters, digits and dashes, please.")],
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    rate = forms.TypedChoiceField(
        label="Requests a minute",
        choices=[(rate, f"{rate:,}") for rate in RATES],
        initial=RATES[1],
        coerce=int,
        help_text="Beyond that it is told to wait.",
    )
    abilities = forms.MultipleChoiceField(
        label="What it may do",
        choices=list(ABILITIES.items()),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "At least one of these."},
    )
