"""Reading what anybody may have written: typed values out, named problems beside, and never an exception."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from dashboard.repository import values
from dashboard.repository.values import LONGEST, Problem, Raw, Reader, Wrong, read_strings


def reader(raw: Raw) -> Reader:
    return Reader({"the:key": raw}, {"it": "the:key"})


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1200", "1200"),
        ("$1,200", "1200"),
        ("$45/month", "45"),
        (" 950.50 ", "950.50"),
        ("-12", "-12"),
        ("0.15", "0.15"),
        ("$1,234,567.89", "1234567.89"),
    ],
)
def test_trap_13_an_amount_is_read_in_each_form_the_document_has(text: str, amount: str) -> None:
    assert values.amount(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "$", "lots", "1.2.3", "NaN", "Infinity", "1e9", "--1", "9" * 40, "1 200", "0x10"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert values.amount(text) is None


@given(st.decimals(min_value=0, max_value=10**12, places=2))
def test_an_amount_written_by_us_is_read_back(value: Decimal) -> None:
    assert values.amount(values.plain(value)) == value
    assert values.amount(values.dollars(value)) == value


def test_amounts_are_written_as_the_customers_tools_write_them() -> None:
    assert [values.plain(Decimal(text)) for text in ("1200.00", "950.50", "1E+3", "0")] == [
        "1200",
        "950.5",
        "1000",
        "0",
    ]
    assert [values.dollars(Decimal(text)) for text in ("1200", "950.5", "0")] == ["$1,200", "$950.50", "$0"]


@pytest.mark.parametrize("mark", "\x00\x1b\x7f\x85\x9b\u061c\u200e\u200f\u2028\u202a\u202e\u2066\u2069")
def test_what_controls_or_turns_a_text_around_is_made_visible(mark: str) -> None:
    assert values.readable(f"one{mark}two") == f"one\\u{ord(mark):04x}two"


@pytest.mark.parametrize("text", ["Zoë Straße", "דנה", "line\nline\tcell", "👩‍👧"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert values.readable(text) == text


def test_days_and_moments_are_read_with_and_without_zone() -> None:
    assert values.day("2024-01-15") == values.day(" 2024-01-15T10:30:00Z") == date(2024, 1, 15)
    moment = datetime(2024, 8, 18, 10, 30, tzinfo=UTC)
    assert [
        values.moment(text) for text in ("2024-08-18T10:30:00Z", "2024-08-18T10:30:00", "2024-08-18T05:30-05:00")
    ] == [moment] * 3


@pytest.mark.parametrize(
    "text", ["", "soon", "2024-13-45", "18.08.2024", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-05:00", "١٢٣"]
)
def test_a_moment_that_is_none_or_that_no_zone_can_show_is_none(text: str) -> None:
    assert values.moment(text) is None


@given(st.text() | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()))
def test_every_moment_that_is_read_can_be_shown_in_every_zone(text: str) -> None:
    found = values.moment(text)
    if found:
        assert found.astimezone(ZoneInfo("Pacific/Kiritimati")) == found.astimezone(ZoneInfo("Pacific/Niue"))


# -- the reader


@given(
    st.text(st.characters(), max_size=50) | st.binary(max_size=50).map(lambda raw: raw.decode(errors="surrogateescape"))
)
def test_nothing_that_is_stored_makes_the_reader_fail(raw: str) -> None:
    for read in ("text", "identifier", "amount", "whole", "day", "moment"):
        value = getattr(reader(raw), read)("it")
        str(value).encode()  # can be sent


def test_a_missing_value_is_none_and_no_problem() -> None:
    looking = reader(None)
    assert [getattr(looking, read)("it") for read in ("text", "identifier", "amount", "day", "moment")] == [None] * 5
    assert looking.problems == []
    assert not looking.has("it")


def test_a_value_that_cannot_be_read_is_none_and_named() -> None:
    looking = reader("lots")
    assert looking.amount("it") is None
    assert looking.problems == [Problem("the:key", "is not an amount: lots")]


def test_a_key_of_another_type_is_named() -> None:
    looking = reader(Wrong("list"))
    assert looking.text("it") is None
    assert looking.problems == [Problem("the:key", "holds a list, not a text")]
    assert looking.has("it")


def test_half_a_character_as_json_can_have_it_is_shown_escaped() -> None:
    assert reader("a\ud800b\udfff").text("it") == "a\\ud800b\\udfff"


def test_broken_utf_8_is_shown_escaped_and_named() -> None:
    looking = reader(b"caf\xe9 \xff".decode(errors="surrogateescape"))
    assert looking.text("it") == "caf\\xe9 \\xff"
    assert looking.problems == [Problem("the:key", "is not valid UTF-8")]


def test_a_megabyte_is_cut_and_named() -> None:
    looking = reader("x" * 1_000_000)
    assert looking.text("it") == "x" * LONGEST + "…"
    assert looking.problems == [Problem("the:key", "is 1,000,000 characters long")]


def test_an_identifier_that_could_not_stand_in_a_key_name_is_named() -> None:
    looking = reader("CUST 1")
    assert looking.identifier("it") is None
    assert looking.problems == [Problem("the:key", "is not an identifier: CUST 1")]


def test_a_field_this_kind_of_thing_does_not_have_is_none() -> None:
    looking = reader("1")
    assert looking.optional("other", looking.amount) is None
    assert looking.optional("it", looking.amount) == 1


def test_strings_are_read_in_one_go_and_other_types_told(store: Redis) -> None:
    store.set("a", "1")
    store.rpush("b", "1")
    assert read_strings(store, ["a", "b", "c"]) == {"a": "1", "b": Wrong("list"), "c": None}
    assert read_strings(store, []) == {}


# -- the customer's texts


def test_trap_6_a_text_is_split_at_bars_and_then_at_the_first_colon() -> None:
    found = values.labelled("John Smith|DOB:1985-03-15|Phone:555-0123|login_time:2024-08-18T10:30:00Z|VIP|See: notes")
    assert found == {
        "": "John Smith, VIP",
        "dob": "1985-03-15",
        "phone": "555-0123",
        "login_time": "2024-08-18T10:30:00Z",
        "see": "notes",
    }
    assert values.labelled("I-35 and Main: north") == {"": "I-35 and Main: north"}


def test_trap_6_delimiters_are_refused_in_input() -> None:
    assert values.fits_text("2020 Toyota Camry LE - Dallas: north, 75201")
    assert not any(map(values.fits_text, ("a|b", "a\nb", "a\x00b", "a\x7fb")))


def test_a_comma_list_is_read_with_its_blemishes() -> None:
    assert values.comma_list("auto:100001, home:200001,,auto:100001,") == ["auto:100001", "home:200001"]
    assert values.comma_list(None) == values.comma_list("") == []


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("123 Main St, Dallas TX 75201", ("dallas", "75201")),
        ("123 Main St, Fort Worth, TX 76102", ("fort_worth", "76102")),
        ("1 A St, Winston-Salem NC 27101-1234", ("winston_salem", "27101")),
        ("somewhere", ("", "")),
        ("", ("", "")),
        (None, ("", "")),
    ],
)
def test_city_and_zip_are_found_at_the_end_of_an_address(address: str | None, place: tuple[str, str]) -> None:
    assert values.place(address) == place


@pytest.mark.parametrize("count", [1, 50, 51, 1_000])
def test_what_is_missing_costs_one_command_more_however_much_it_is(store: Redis, count: int) -> None:
    names = [f"some:{number}" for number in range(count)]
    store.config_resetstat()
    assert set(read_strings(store, names).values()) == {None}
    ran = {name: each["calls"] for name, each in store.info("commandstats").items() if "config" not in name}
    assert ran == {"cmdstat_mget": 1, "cmdstat_exists": 1}


@pytest.mark.parametrize("at", [0, 49, 50, 999])
def test_a_key_of_another_type_is_found_among_a_thousand_that_are_missing(store: Redis, at: int) -> None:
    names = [f"some:{number}" for number in range(1_000)]
    store.rpush(names[at], "x")
    store.set(names[500], "a text")
    store.config_resetstat()
    found = read_strings(store, names)
    assert (found.pop(names[at]), found.pop(names[500])) == (Wrong("list"), "a text")
    assert set(found.values()) == {None}
    assert sum(each["calls"] for name, each in store.info("commandstats").items() if "config" not in name) <= 80


def test_an_address_of_a_megabyte_is_read_at_once_from_its_end() -> None:
    """A search of all of it would take hours."""
    assert values.place("A" * 1_000_000) == ("", "")
    assert values.place("A" * 1_000_000 + ", Dallas TX 75201") == ("dallas", "75201")
