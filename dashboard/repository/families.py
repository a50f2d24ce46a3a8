"""What the tools over the key space know of each kind of key beyond its row in the catalogue: its name in addresses,
which keys are one thing, what must not be shown, and what is only ever read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from dashboard import keys
from dashboard.keys import CATALOGUE, Family, Parsed

UNKNOWN = "unknown"
"""The family of all keys whose names the catalogue does not know."""

NAMES: dict[Family, str] = {family: name for name, family in CATALOGUE.items()}

ROOTS: dict[Family, Family] = {
    keys.quote_field: keys.quote,
    keys.quote_terms: keys.quote,
    keys.claim_temp_field: keys.claim_temp,
    keys.investigation_field: keys.investigation,
    keys.portal_field: keys.portal,
    keys.workstation_field: keys.workstation,
}
"""Families whose keys are parts of a thing, and the family of its root: they end together."""

OF_QUOTES = frozenset((keys.quote, keys.quote_field, keys.quote_terms))

_SECRET_NAMES = frozenset((keys.two_factor, keys.password_reset, keys.web_session))
_SECRET_VALUES = _SECRET_NAMES | {
    family for name, family in CATALOGUE.items() if name in ("token", "session_facts", "session_snapshot")
}
_SEALED = frozenset((keys.chain, keys.chain_head, keys.chain_queue))

# Names that hold a secret, wherever they stand in a text; and what a session's anchor keeps of its owner's secret.
_SECRET = re.compile(
    r"(security:(?:2fa|password_reset):[^\s:]+:|(?:\b|\")(?:code|reset):[^\s:\"]+:|dash:cache:|\bref:)[^\s|\",]+"
)


def name_of(parsed: Parsed | None) -> str:
    """The family's name in addresses and counts; UNKNOWN for a key that is not in the catalogue."""
    return NAMES[parsed.family] if parsed else UNKNOWN


def group_of(family: Family) -> str:
    """The branch of the tree that it hangs on: `policy`, `dash`."""
    return family.pattern.partition(":")[0]


# -- what is not shown


def has_secret_name(parsed: Parsed | None) -> bool:
    """Whether whoever reads the name of this key could sign in as somebody."""
    return parsed is not None and parsed.family in _SECRET_NAMES


def has_secret_value(parsed: Parsed | None) -> bool:
    return parsed is not None and (parsed.family in _SECRET_VALUES or parsed.parts.get("area") == "security")


def masked(text: str) -> str:
    """The text without the codes, tokens and references that stand in it."""
    return _SECRET.sub(lambda found: f"{found[1]}•••", text)


# -- names of any bytes, for addresses and forms


def quoted(name: str) -> str:
    """A key's name for an address or a form, whatever bytes it is made of."""
    return quote(name.encode(errors="surrogateescape"), safe=":")


def unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape")


# -- what belongs together


def root_of(parsed: Parsed) -> str | None:
    """The root's key, for a key that is a part; None for a root and for what is no part of anything that ends."""
    family = ROOTS.get(parsed.family)
    return family(*(parsed.parts[slot] for slot in family.slots)) if family else None


def whole(parsed: Parsed) -> list[str]:
    """Every key that the thing may have which this one is the root or a part of, the root first; [] where it stands
    alone.
    """
    parts, family = parsed.parts, ROOTS.get(parsed.family, parsed.family)
    if family is keys.quote:
        thing = parts["product"], parts["number"]
        return [*keys.quote_keys(*thing), keys.quote_terms(*thing)]
    if family is keys.claim_temp:
        return keys.claim_temp_keys(parts["claim"])
    if family is keys.investigation:
        return keys.investigation_keys(parts["claim"])
    if family is keys.portal:
        return keys.portal_keys(parts["person"])
    if family is keys.workstation:
        return keys.workstation_keys(parts["person"])
    return []


# -- what is only read


def is_record(parsed: Parsed | None) -> bool:
    """Whether it is part of the audit trail: it is only read here."""
    return parsed is not None and (parsed.family.pattern.startswith(keys.AUDIT) or parsed.family in _SEALED)


def is_kept(parsed: Parsed | None) -> bool:
    """Whether it may not be deleted, nor be given an end: part of the audit trail, or kept for good."""
    return parsed is not None and (is_record(parsed) or parsed.family.precious)


def groups() -> Iterator[tuple[str, list[tuple[str, Family]]]]:
    """The tree: each branch with its families, (name, family), as the catalogue has them in order."""
    found: dict[str, list[tuple[str, Family]]] = {}
    for name, family in CATALOGUE.items():
        found.setdefault(group_of(family), []).append((name, family))
    yield from found.items()
