"""The form of the sign-in page."""

from __future__ import annotations

from django import forms


class SignIn(forms.Form):
    """Lengths are capped: hashing a book as a password would keep a core busy."""

    username = forms.CharField(
        label="User name",
        max_length=150,
        error_messages={"required": "Your user name, such as AG001."},
        widget=forms.TextInput(
            attrs={
                "autocomplete": "username",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "autofocus": True,
            }
        ),
    )
    password = forms.CharField(
        max_length=256,
        strip=False,
        error_messages={"required": "Your password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
