"""The forms of one's own account. What weakens or changes it asks for the password once more."""

from __future__ import annotations

from django import forms

from dashboard.forms.signin import NewPassword


class Password(forms.Form):
    password = forms.CharField(
        label="Your password",
        max_length=256,
        strip=False,
        error_messages={"required": "Your password, so that it is you who changes this."},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class ChangePassword(Password, NewPassword):
    field_order = ("password", "new_password", "new_password_again")
