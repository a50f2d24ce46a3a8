"""What a vehicle identification number says, and where that contradicts what was written. Advice, never a reason to
refuse: the customer's own sample (1HGBH41JXMN109186 for a Toyota) is a Honda's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from vininfo import Vin
from vininfo.dicts import WMI
from vininfo.exceptions import VininfoException

LENGTH = 17


@dataclass(frozen=True)
class Reading:
    """What a VIN says (`Honda, United States, 2021 or 1991`; "" for none that can be read), and what to look at."""

    words: str
    warnings: tuple[str, ...]


def read(vin: str | None, vehicle: str | None = None) -> Reading | None:
    """None where there is no VIN. `vehicle` is how the vehicle is described: 2020 Toyota Camry LE."""
    text = re.sub(r"[\s-]", "", vin or "").upper()
    if not text:
        return None
    if len(text) != LENGTH:
        return Reading(
            "", (f"A VIN has {LENGTH} characters; this one has {len(text)}. Vehicles from before 1981 differ.",)
        )
    try:
        found = Vin(text)
    except (VininfoException, ValueError):
        return Reading("", ("A VIN has letters and digits, but none of I, O and Q.",))
    return Reading(_words(found), tuple(_warnings(found, vehicle or "")))


def _words(found: Vin) -> str:
    return ", ".join(part for part in (_maker(found), found.country, " or ".join(map(str, _years(found)))) if part)


def _warnings(found: Vin, vehicle: str) -> list[str]:
    warnings = []
    maker = _maker(found)
    if not maker:
        warnings.append("No known maker has this beginning of a VIN.")
    if _american(found) and not found.verify_checksum():
        warnings.append("Its check digit does not fit: one of the characters may be mistyped.")
    named = _makes(vehicle)
    if maker and named and not named & _makes(maker):
        warnings.append(f"The VIN is a {maker}’s, and the vehicle is called {vehicle}.")
    year = re.search(r"\b(19[89]\d|20\d\d)\b", vehicle)
    if year and _years(found) and int(year[1]) not in _years(found):
        warnings.append(f"The VIN’s model year is {' or '.join(map(str, _years(found)))}, not {year[1]}.")
    return warnings


def _american(found: Vin) -> bool:
    """Check digit and model year are the law in North America alone."""
    return found.region == "North America"


def _years(found: Vin) -> list[int]:
    return sorted(found.years, reverse=True) if _american(found) else []


def _maker(found: Vin) -> str:
    name = str(found.manufacturer or "")
    return "" if name == "UnsupportedBrand" else name


def _makes(text: str) -> set[str]:
    """The makes a text names, by their first word: 2020 Toyota Camry -> {"toyota"}."""
    return set(re.findall(r"[a-zà-ÿ]{3,}", text.lower())) & _known_makes()


@cache
def _known_makes() -> frozenset[str]:
    names = (each if isinstance(each, str) else str(each.title) for each in WMI.values())
    firsts = (re.match(r"[a-zà-ÿ]{3,}", name.lower()) for name in names)
    return frozenset(first[0] for first in firsts if first)
