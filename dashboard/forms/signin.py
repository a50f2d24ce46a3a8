"""The forms of the pages that lead in: name and password, codes, a new password."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password


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


class Forgotten(forms.Form):
    username = forms.CharField(
        label="User name",
        max_length=150,
        error_messages={"required": "Your user name, such as AG001."},
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "characters", "spellcheck": "false", "autofocus": True}
        ),
    )


_ONE_TIME = {"autocomplete": "one-time-code", "spellcheck": "false", "autocapitalize": "none", "autofocus": True}


class SixDigits(forms.Form):
    """A code of six digits, however they are grouped."""

    code = forms.CharField(
        max_length=20,
        error_messages={"required": "The six digits."},
        widget=forms.TextInput(attrs={**_ONE_TIME, "inputmode": "numeric"}),
    )

    def clean_code(self) -> str:
        digits = "".join(self.cleaned_data["code"].split())
        if not (digits.isascii() and digits.isdecimal() and len(digits) == 6):
            raise forms.ValidationError("A code has six digits.")
        return digits


class RecoveryCode(forms.Form):
    """One of the ten; its dashes and spaces are matters of taste."""

    code = forms.CharField(
        label="Recovery code",
        max_length=40,
        error_messages={"required": "One of your recovery codes."},
        widget=forms.TextInput(attrs=_ONE_TIME),
    )


class NewPassword(forms.Form):
    """A password that the site's rules allow to this person, typed twice."""

    new_password = forms.CharField(
        label="New password",
        max_length=256,
        strip=False,
        error_messages={"required": "A new password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    new_password_again = forms.CharField(
        label="The same again",
        max_length=256,
        strip=False,
        error_messages={"required": "The new password once more."},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        password = given.get("new_password")
        if password and "new_password_again" in given and given["new_password_again"] != password:
            self.add_error("new_password_again", "The two are not the same.")
        elif password:
            try:
                validate_password(password, self.user)
            except forms.ValidationError as error:
                self.add_error("new_password", error)
        return given
