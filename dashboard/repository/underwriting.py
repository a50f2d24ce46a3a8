"""Underwriting of a life quote: the assessment and the medical examination, each with a deadline of its own.

The document lets the examination's key die two hours after it was written, before the appointment it is about (trap 17).
Here it lives to the later of appointment and quote. Underwriting belongs to life quotes alone, whatever other product
has a quote of the same number (trap 4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from redis import Redis

from dashboard import clock, keys
from dashboard.errors import Invalid
from dashboard.repository import audit, quotes
from dashboard.repository.store import Change, change
from dashboard.repository.values import Problem, Reader, fits_text, moment, read_strings

ASSESSMENT_LIFE = clock.HOUR
EXAM_LIFE = 2 * clock.HOUR


@dataclass(frozen=True)
class Underwriting:
    """What is known; deadlines in Unix ms, None for what is not there or has no end."""

    assessment: str | None
    assessment_deadline: int | None
    exam: datetime | None
    exam_text: str | None
    exam_deadline: int | None
    problems: tuple[Problem, ...]


def get(client: Redis, number: str) -> Underwriting:
    """Three round trips at most."""
    names = {"assessment": keys.underwriting_assessment(number), "exam": keys.underwriting_exam(number)}
    reader = Reader(read_strings(client, list(names.values())), names)
    pipe = client.pipeline(transaction=False)
    for name in names.values():
        pipe.pexpiretime(name)
    assessed_until, exam_until = (until if until > 0 else None for until in pipe.execute())
    text = reader.text("exam")
    at = re.search(r"\d{4}-\d\d-\d\dT[\d:]+(?:Z|[+-][\d:]+)?", text or "")
    return Underwriting(
        assessment=reader.text("assessment"),
        assessment_deadline=assessed_until,
        exam=moment(at[0]) if at else None,
        exam_text=text,
        exam_deadline=exam_until,
        problems=tuple(reader.problems),
    )


def assess(number: str, text: str, *, by: str, token: str | None = None) -> str:
    """Write the assessment (`Age: 35, Health: Good, Smoker: No, Risk: Low`); it lives an hour, or as long as the quote
    where that is longer. Raises Expired, NotFound, Invalid.
    """
    if not text or not fits_text(text) or len(text) > 500:
        raise Invalid({"assessment": "Up to 500 characters, no | and no line breaks."})

    def action(draft: Change) -> str:
        quote = _watched(draft, number)
        deadline = max(clock.now_ms() + ASSESSMENT_LIFE, quote.deadline or 0)
        draft.set_until(keys.underwriting_assessment(number), text, deadline)
        audit.append(draft, audit.QUOTE, "life", number, text=f"Assessed by {by}: {text}", by=by)
        draft.event("quotes", quote.id)
        return text

    return change(action, token=token)


def schedule(number: str, at: datetime, *, by: str, token: str | None = None) -> str:
    """Set the examination's appointment. Raises Expired, NotFound, Invalid."""
    if at <= clock.now():
        raise Invalid({"exam": "The appointment lies in the past."})

    def action(draft: Change) -> str:
        quote = _watched(draft, number)
        deadline = max(clock.ms(at), quote.deadline or 0, clock.now_ms() + EXAM_LIFE)
        draft.set_until(keys.underwriting_exam(number), f"Scheduled for {clock.iso(at)}", deadline)
        audit.append(draft, audit.QUOTE, "life", number, text=f"Medical exam set for {clock.iso(at)} by {by}", by=by)
        draft.event("quotes", quote.id)
        return clock.iso(at)

    return change(action, token=token)


def _watched(draft: Change, number: str) -> quotes.Quote:
    draft.watch(keys.quote("life", number), keys.underwriting_assessment(number), keys.underwriting_exam(number))
    return quotes.get(draft.client, "life", number)
