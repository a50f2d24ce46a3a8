"""Forms for the underwriting of a life quote."""

from __future__ import annotations

from django import forms

from dashboard.forms.claims import Moment
from dashboard.forms.fields import Text


class Assessment(forms.Form):
    assessment = Text(
        label="Assessment", max_length=500, help_text="Such as Age: 35, Health: Good, Smoker: No, Risk: Low."
    )


class Exam(forms.Form):
    exam = Moment(label="Appointment", help_text="In the business’s time zone.")
