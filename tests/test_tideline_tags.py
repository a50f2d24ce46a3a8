"""The words and shapes of the templates: what they say, and that odd values never break a page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.template import engines
from django.test import RequestFactory

from dashboard.forms.quotes import AutoQuote
from dashboard.templatetags import tideline

NOON = datetime(2025, 3, 5, 18, 0, tzinfo=UTC)
MINUTE = 60_000


def draw(source: str, **context: Any) -> str:
    return engines["django"].from_string("{% load tideline %}" + source).render(context)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal(1200), "$1,200"),
        ("28500", "$28,500"),
        (Decimal("38.5"), "$38.50"),
        (-5, "−$5"),
        (None, "–"),
        ("soon", "soon"),
        ("NaN", "NaN"),
    ],
)
def test_money_has_cents_only_when_there_are_some(value: object, text: str) -> None:
    assert tideline.money(value) == text


def test_money_names_its_unit_and_escapes_what_is_no_amount() -> None:
    assert draw("{{ x|money:'yr' }}", x=950) == '$950<span class="unit">/yr</span>'
    assert draw("{{ x|money:'yr' }}", x="<b>") == "&lt;b&gt;"


@pytest.mark.parametrize(("value", "text"), [(1234567, "1,234,567"), ("0.36", "0.36"), (None, "–"), ("many", "many")])
def test_numbers_are_grouped(value: object, text: str) -> None:
    assert tideline.number(value) == text


def test_a_key_breaks_after_its_colons_and_is_escaped() -> None:
    assert tideline.key("policy:auto:<1>") == "policy:<wbr>auto:<wbr>&lt;1&gt;"


def test_an_address_breaks_after_its_at_and_is_escaped() -> None:
    assert tideline.email("jane<b>@example.com") == "jane&lt;b&gt;@<wbr>example.com"


def test_stored_words_read_as_prose() -> None:
    assert tideline.words("UNDER_INVESTIGATION") == "Under investigation"
    assert tideline.words("vip") == "VIP"
    assert tideline.words(None) == ""


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (-1, "ended"),
        (0, "ended"),
        (1, "0:01"),
        (59_000, "0:59"),
        (249_000, "4:09"),
        (3_600_000, "1:00:00"),
        (29 * 3_600_000, "1 d 5 h"),
        (5 * 86_400_000 + 3 * 3_600_000, "5 d 3 h"),
        (9 * 86_400_000, "9 d"),
        (41 * 86_400_000 + 3 * 3_600_000, "41 d"),
        (2468 * 86_400_000, "6 y 278 d"),
    ],
)
def test_a_countdown_counts_in_digits_and_days(left: int, text: str) -> None:
    assert tideline.clock_text(left) == text


def test_stamps_within_a_record_are_told_in_the_business_s_zone() -> None:
    told = tideline.moments("Extended to 2024-08-20T22:13:26Z by AG001, <b>2024-02-30T00:00:00Z")
    assert ">20 Aug 2024, 17:13</time> by AG001, &lt;b&gt;2024-02-30T00:00:00Z" in told


@pytest.mark.parametrize(
    ("left", "lifetime", "tone"),
    [
        (0, 300_000, "ended"),
        (59_000, 300_000, "bad"),
        (60_000, 300_000, "warn"),
        (179_000, 300_000, "warn"),
        (181_000, 300_000, "ok"),
        (350_000, 1_800_000, "warn"),
        (370_000, 1_800_000, "ok"),
        (3_600_000, 7 * 86_400_000, "bad"),
        (86_400_000, 7 * 86_400_000, "warn"),
        (3 * 86_400_000, 7 * 86_400_000, "ok"),
    ],
)
def test_time_turns_amber_then_red(left: int, lifetime: int, tone: str) -> None:
    assert tideline.tone_of_time(left, lifetime) == tone


def test_the_countdown_carries_deadline_ring_and_digits() -> None:
    html = draw("{% countdown deadline 300000 %}", deadline=1_000_000 + 150_000, now_ms=1_000_000)
    assert 'data-deadline="1150000"' in html
    assert 'data-lifetime="300000"' in html
    assert 'stroke-dasharray="50 100"' in html
    assert ">2:30<" in html
    assert "style=" not in html


def test_a_deadline_may_be_a_datetime_and_none_never_ends() -> None:
    html = draw("{% countdown moment words=True %}", moment=NOON, now_ms=int(NOON.timestamp() * 1000) - 90 * MINUTE)
    assert ">1 h 30 min<" in html
    assert "No end" in draw("{% countdown None %}")


def test_moments_show_the_business_zone_and_utc_on_hover(settings: Any) -> None:
    settings.TIME_ZONE = "America/Chicago"
    html = tideline.when(NOON)
    assert ">5 Mar 2025, 12:00<" in html
    assert 'title="2025-03-05 18:00:00 UTC"' in html
    assert "5 Mar 2025" in tideline.day(date(2025, 3, 5))


@pytest.mark.parametrize("filter_", [tideline.when, tideline.day, tideline.ago])
def test_what_is_no_time_is_shown_as_it_is(filter_: Any) -> None:
    assert filter_(None) == "–"
    assert filter_("yesterday") == "yesterday"


def test_ago_ticks_from_its_moment() -> None:
    html = tideline.ago(datetime.now(UTC) - timedelta(minutes=12, seconds=5))
    assert "12 min ago" in html
    assert "data-since=" in html


def test_a_pill_has_shape_word_and_tone() -> None:
    html = draw("{% pill 'ACTIVE' %}")
    assert 'class="pill good"' in html
    assert "<svg" in html
    assert "Active" in html


def test_an_unknown_status_is_shown_without_a_colour_and_escaped() -> None:
    html = draw("{% pill status %}", status="<ODD>")
    assert 'class="pill "' in html
    assert "&lt;odd&gt;" in html


def test_every_icon_of_a_status_exists() -> None:
    for status in tideline.STATUS:
        assert "<svg" in tideline.icon(tideline.status_icon(status))


def test_an_icon_is_silent_unless_it_has_a_label() -> None:
    assert 'aria-hidden="true"' in tideline.icon("timer")
    assert 'aria-label="More"' in tideline.icon("timer", label="More")


def test_a_query_keeps_the_rest_and_starts_the_paging_anew() -> None:
    request = RequestFactory().get("/quotes/?product=auto&agent=AG001&at=x")
    assert draw("{% query agent=None risk='HIGH' %}", request=request) == "?product=auto&amp;risk=HIGH"
    assert "at=y" in draw("{% query at='y' %}", request=request)


class QuoteForm(forms.Form):
    premium = forms.DecimalField(help_text="A year.")
    exam = forms.BooleanField(required=False)


def test_a_field_ties_label_hint_and_error_to_its_control() -> None:
    form = QuoteForm({"premium": "<b>"})
    html = draw("{% field form.premium %}", form=form)
    assert 'aria-describedby="id_premium_error id_premium_hint"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="id_premium_error"' in html
    assert 'id="id_premium_hint"' in html
    assert 'value="&lt;b&gt;"' in html


def test_a_field_of_money_has_its_sign_and_no_other_has() -> None:
    form = AutoQuote(agents=[])
    assert '<span aria-hidden="true">$</span>' in draw("{% field form.premium %}", form=form)
    assert "$" not in draw("{% field form.vehicle %}", form=form)


def test_a_box_stands_before_its_label() -> None:
    html = draw("{% field form.exam %}", form=QuoteForm())
    assert html.index("<input") < html.index("<label")


def test_a_day_another_tool_wrote_is_shown_like_every_other() -> None:
    assert "5 Mar 2025" in tideline.day("2025-03-05")
    assert tideline.day("last spring") == "last spring"
