"""What a VIN says, and when to look twice. Nothing is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import vin


def test_the_documents_vin_is_a_hondas() -> None:
    """Trap 10: it stands on a 2020 Toyota Camry LE."""
    reading = vin.read("1HGBH41JXMN109186", "2020 Toyota Camry LE")
    assert reading and reading.words == "Honda, United States, 2021 or 1991"
    assert [warning[:27] for warning in reading.warnings] == [
        "The VIN is a Honda’s, and t", "The VIN’s model year is 202",
    ]  # fmt: skip


@pytest.mark.parametrize("vehicle", ["Honda Civic 2021", "2021 Civic", "", None])
def test_what_fits_or_says_nothing_gives_no_warning(vehicle: str | None) -> None:
    reading = vin.read("1hgbh41jx-mn109186", vehicle)
    assert reading and not reading.warnings


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("1HGBH41JXMN", "this one has 11"),
        ("1HGBH41JXMN10918I", "none of I, O and Q"),
        ("1HGBH41J0MN109186", "check digit"),
        ("ZZZZZZZZZZZZZZZZZ", "No known maker"),
    ],
)
def test_what_is_odd_about_it(text: str, warning: str) -> None:
    reading = vin.read(text)
    assert reading and warning in reading.warnings[0]


def test_european_numbers_have_no_check_digit_and_no_year() -> None:
    assert vin.read("WBA3A5G59DNP26083", "BMW X5 2023") == vin.Reading("BMW, Germany", ())


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_vin_is_no_reading(text: str | None) -> None:
    assert vin.read(text) is None


@given(st.text(max_size=20), st.text(max_size=40))
def test_never_fails(text: str, vehicle: str) -> None:
    vin.read(text, vehicle)
    vin.read((text + "1HGBH41JXMN109186")[:17], vehicle)
