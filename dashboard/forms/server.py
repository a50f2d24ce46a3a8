"""The forms of the server's pages."""

from __future__ import annotations

from django import forms

from dashboard import keys
from dashboard.repository import layouts

_PRODUCTS = [("all", "All products"), *((product, product.title()) for product in keys.PRODUCTS)]
_LAYOUTS = [("hash", "From strings to hashes"), ("strings", "From hashes to strings")]


def product_of(form: forms.Form) -> str | None:
    """The product that was chosen; None for all of them."""
    chosen = form.cleaned_data["product"]
    return None if chosen == "all" else chosen


class Compare(forms.Form):
    """Over how many policies, and of which product, the two layouts are measured."""

    size = forms.IntegerField(
        label="Policies",
        min_value=layouts.FEWEST,
        max_value=layouts.MOST,
        initial=200,
        help_text=f"At random, {layouts.FEWEST} to {layouts.MOST:,}.",
    )
    product = forms.ChoiceField(label="Of", choices=_PRODUCTS)


class Convert(forms.Form):
    """Which policies are to be kept in which layout."""

    layout = forms.ChoiceField(label="Direction", choices=_LAYOUTS)
    product = forms.ChoiceField(label="Of", choices=_PRODUCTS)
