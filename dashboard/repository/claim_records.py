"""What a claim's keys tell, whoever wrote them: the three records of the customer's document, read as one claim.

claim:temp:CLM003, :reporter, ...    as first reported
investigation:CLM003, :adjuster, ... once an adjuster is on it; waiting when its status says AWAITING_APPROVAL
claim:CLM003:details, :status, ...   once decided: APPROVED or DENIED, then PAID, CLOSED; undecided again once REOPENED
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from redis import Redis

from dashboard import clock, keys
from dashboard.repository.agents import Directory
from dashboard.repository.index import UNKNOWN
from dashboard.repository.values import Problem, Raw, Reader, Wrong, amount, plain, shorten

Stage = Literal["reported", "investigating", "waiting", "approved", "paid", "denied", "closed", "lapsed"]
STAGES: tuple[Stage, ...] = ("reported", "investigating", "waiting", "approved", "paid", "denied", "closed")
"""What a claim on record can be at. Beside them "lapsed": its record ended undecided, its snapshot is left."""
UNDECIDED: tuple[Stage, ...] = ("reported", "investigating", "waiting")
OPEN: tuple[Stage, ...] = (*UNDECIDED, "approved", "paid")
"""The stages at which somebody still has to do something."""
LAPSED: Stage = "lapsed"

REPORTED_LIFE = 7 * clock.DAY
INVESTIGATION_LIFE = 30 * clock.DAY
AWAITING, IN_PROGRESS, REOPENED = "AWAITING_APPROVAL", "IN_PROGRESS", "REOPENED"
_STATES = {
    "reported": "REPORTED", "investigating": "UNDER_INVESTIGATION", "waiting": "AWAITING_APPROVAL",
    "approved": "APPROVED", "paid": "PAID", "denied": "DENIED", "closed": "CLOSED", "lapsed": "LAPSED",
}  # fmt: skip
_LIVES = {"reported": REPORTED_LIFE, "investigating": INVESTIGATION_LIFE, "waiting": INVESTIGATION_LIFE}
_DECIDED_BY_STATUS: dict[str, Stage] = {
    "APPROVED": "approved", "DENIED": "denied", "PAID": "paid", "CLOSED": "closed",
}  # fmt: skip
URGENT, CRITICAL = clock.DAY, clock.HOUR
"""ms before the store ends a record: from then on it is escalated, and escalated once more."""
LABELS = ("Customer", "Estimated", "Policy", "Amount", "Status")
INVESTIGATION_LABELS = ("Adjuster", "Photos", "Witness Statements")
_SHARED_FACTS = (
    "reporter", "incident_date", "location", "policy", "customer", "agent", "reported_by", "reported_date",
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A claim as its own keys tell it. What is missing or unreadable is None; `problems` says what is unreadable.

    policy            `auto:100001`; product is its first part, "" when the policy is unknown
    agent             its policy's, else the claim's own; customer: the claim's own, else its policy's
    estimated         dollars, the latest estimate; first_estimate: the one it was reported with
    reporter          who told of the loss; reported_by: who of the staff wrote it down
    reserve           dollars set aside for it
    proposed          dollars that wait for a supervisor's approval; proposed_by, proposed_at: whose proposal, since when
    paid              dollars paid so far
    since             when it came to its stage, as far as its keys tell
    reopened          the last time it was
    deadline          Unix ms at which the first of its keys ends; None when it stays
    lifetime          ms that a record at this stage is given; None once it is decided
    """

    number: str
    stage: Stage
    summary: str | None
    policy: str | None
    product: str
    customer: str | None
    customer_name: str | None
    reporter: str | None
    incident: datetime | None
    location: str | None
    agent: str | None
    branch: str
    adjuster: str | None
    photos: int | None
    witness_statements: int | None
    notes: str | None
    investigation_status: str | None
    first_estimate: Decimal | None
    estimated: Decimal | None
    final_amount: Decimal | None
    decided: datetime | None
    denial_reason: str | None
    reported_by: str | None
    reported: datetime | None
    assigned: datetime | None
    reserve: Decimal | None
    proposed: Decimal | None
    proposed_by: str | None
    proposed_at: datetime | None
    returned_reason: str | None
    approved_by: str | None
    paid: Decimal | None
    paid_at: datetime | None
    payment: str | None
    closed: datetime | None
    reopened: datetime | None
    reopened_reason: str | None
    since: datetime | None
    deadline: int | None
    problems: tuple[Problem, ...]

    @property
    def state(self) -> str:
        """The stage as a status word: REPORTED, UNDER_INVESTIGATION, AWAITING_APPROVAL, APPROVED, PAID, ..."""
        return _STATES[self.stage]

    @property
    def is_decided(self) -> bool:
        return self.stage not in (*UNDECIDED, LAPSED)

    @property
    def lifetime(self) -> int | None:
        return _LIVES.get(self.stage)

    @property
    def amount(self) -> Decimal | None:
        """What it is about at this stage, in dollars: the final amount once approved, until then what is proposed, or
        the estimate.
        """
        if self.stage in ("approved", "paid") or (self.stage == "closed" and self.final_amount is not None):
            return self.final_amount
        return self.proposed if self.stage == "waiting" and self.proposed is not None else self.estimated

    @property
    def unpaid(self) -> Decimal | None:
        """Dollars of the final amount still to be paid; None where there is no final amount."""
        return None if self.final_amount is None else max(self.final_amount - (self.paid or 0), Decimal(0))

    @property
    def escalation(self) -> str:
        """ "critical" in the last hour before the store ends the record, "urgent" in the last day, else ""."""
        if self.is_decided or self.deadline is None:
            return ""
        left = self.deadline - clock.now_ms()
        return "critical" if left < CRITICAL else "urgent" if left < URGENT else ""

    @property
    def in_stage(self) -> int | None:
        """ms that it has been at its stage."""
        return None if self.since is None else max(clock.now_ms() - clock.ms(self.since), 0)

    @property
    def milestones(self) -> list[tuple[str, datetime]]:
        """What has been reached, and when, as far as it is known."""
        decided = "Denied" if self.denial_reason is not None or self.stage == "denied" else "Approved"
        reached = [
            ("Happened", self.incident), ("Reported", self.reported), ("Assigned", self.assigned),
            ("Proposed", self.proposed_at), (decided, self.decided), ("Paid", self.paid_at), ("Closed", self.closed),
            ("Reopened", self.reopened),
        ]  # fmt: skip
        return sorted(((name, at) for name, at in reached if at is not None), key=lambda each: each[1])

    def is_reported_by(self, person: str) -> bool:
        """Whether this person reported it, for themselves or for whoever called."""
        return person.casefold() in {(each or "").casefold() for each in (self.reported_by, self.reporter)}

    @property
    def complaints(self) -> list[Problem]:
        """The problems with the name of the fact before the words, for where there is no room for the key."""
        return [Problem(problem.key, f"{_fact(problem.key)} {problem.what}") for problem in self.problems]

    @property
    def seen(self) -> str:
        """Fingerprint of what a form shows, so that an edit made on an older state is noticed."""
        passing = ("problems", "customer_name", "deadline", "branch", "since")
        facts = [getattr(self, name) for name in self.__dataclass_fields__ if name not in passing]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """A claim's keys as they are: raw values, and the Unix ms at which those end that do."""

    number: str
    values: dict[str, Raw]
    ends: dict[str, int]

    @property
    def exists(self) -> bool:
        return self.has_any(self.values)

    def has_any(self, names: Iterable[str]) -> bool:
        return any(self.values.get(name) is not None for name in names)

    def latest(self, names: Iterable[str]) -> int | None:
        return max((self.ends[name] for name in names if name in self.ends), default=None)

    def soonest(self, names: Iterable[str]) -> int | None:
        return min((self.ends[name] for name in names if name in self.ends), default=None)

    def text(self, name: str) -> str:
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    @property
    def summary(self) -> str:
        """What happened, in the reporter's words, uncut."""
        first, final = keys.claim_temp(self.number), keys.claim_field(self.number, "details")
        return told_in(self.text(first))["summary"] or told_in(self.text(final))["summary"]

    def known(self, claim: Claim) -> dict[str, str]:
        """The facts to carry into the permanent record, as they were written, whatever they are; what stands only
        inside a text, or with the policy, as it was understood.
        """
        names = _names(self.number)
        reserve = claim.reserve
        understood = {
            "policy": claim.policy,
            "customer": claim.customer,
            "agent": claim.agent,
            "adjuster": claim.adjuster,
            # The estimate it was reported with: the adjuster's own stays with the investigation.
            "estimated_amount": plain(claim.first_estimate) if claim.first_estimate is not None else None,
            "reserve": plain(reserve) if reserve is not None else None,
        }
        facts = {}
        for name in (*_SHARED_FACTS, "adjuster", "estimated_amount", "reserve"):
            key = "first_estimate" if name == "estimated_amount" else name
            raws = (self.text(each) for each in names[key])
            value = next(filter(None, raws), None) or understood.get(name)
            if value:
                facts[name] = value
        return facts


def is_number(text: str) -> bool:
    return keys.is_identifier(text) and text != "temp"


def is_policy(text: str) -> bool:
    product, _, number = text.partition(":")
    return product in keys.PRODUCTS and keys.is_identifier(number)


def passing_keys(number: str) -> list[str]:
    """The keys of an undecided claim: those that end."""
    return [*keys.claim_temp_keys(number), *keys.investigation_keys(number)]


def all_keys(number: str) -> list[str]:
    return [*passing_keys(number), *keys.claim_keys(number)]


def _names(number: str) -> dict[str, tuple[str, ...]]:
    """The keys that may hold each fact, the one that counts first."""
    names = {name: (keys.claim_field(number, name), keys.claim_temp_field(number, name)) for name in _SHARED_FACTS}
    temporary = keys.claim_temp_field(number, "estimated_amount")
    found = keys.investigation_field(number, "estimated_amount")
    final = keys.claim_field(number, "estimated_amount")
    return {
        **names,
        "adjuster": (keys.investigation_field(number, "adjuster"), keys.claim_field(number, "adjuster")),
        "first_estimate": (temporary, final),
        "estimated": (found, temporary, final),
        # While it is undecided the investigation's own counts; the permanent one is of the last decision.
        "reserve": (keys.investigation_field(number, "reserve"), keys.claim_field(number, "reserve")),
        **{
            name: (keys.investigation_field(number, name),)
            for name in (
                "notes",
                "assigned_date",
                "proposed_amount",
                "proposed_by",
                "proposed_date",
                "returned_reason",
            )
        },
        "investigation_status": (keys.investigation_field(number, "status"),),
        "report": (keys.claim_temp(number),),
        "investigation": (keys.investigation(number),),
        **{
            name: (keys.claim_field(number, name),)
            for name in (
                "details",
                "status",
                "final_amount",
                "approval_date",
                "denial_date",
                "denial_reason",
                "approved_by",
                "paid_amount",
                "paid_date",
                "payment",
                "closed_date",
                "reopened_date",
                "reopened_reason",
            )
        },
    }


def read(client: Redis, numbers: Sequence[str]) -> list[Record]:
    """Every key of these claims. Two round trips; a third where one has the wrong type."""
    if not numbers:
        return []
    names = {number: all_keys(number) for number in numbers}
    flat = [name for each in names.values() for name in each]
    values: dict[str, Raw] = dict(zip(flat, client.mget(flat), strict=True))
    pipe = client.pipeline(transaction=False)
    timed = {number: [name for name in names[number] if values[name] is not None] for number in numbers}
    for number in numbers:
        for name in timed[number]:
            pipe.pexpiretime(name)
        # One count tells that nothing of another type hides behind what MGET could not give. (Where it gave all, which
        # no claim has, the count of the first key only costs a second look.)
        pipe.exists(*([name for name in names[number] if values[name] is None] or names[number][:1]))
    answers = iter(pipe.execute())
    records, odd = [], []
    for number in numbers:
        ends = {name: until for name in timed[number] if (until := next(answers)) > 0}
        if next(answers):
            odd.append(number)
        records.append(Record(number, {name: values[name] for name in names[number]}, ends))
    if odd:
        _find_wrong(client, [record for record in records if record.number in odd])
    return records


def _find_wrong(client: Redis, records: Sequence[Record]) -> None:
    absent = [(record, name) for record in records for name, value in record.values.items() if value is None]
    pipe = client.pipeline(transaction=False)
    for _, name in absent:
        pipe.type(name)
    for (record, name), kind in zip(absent, pipe.execute(), strict=True):
        # A string here appeared between the round trips; it is as good as missing until the next look.
        if kind not in ("none", "string"):
            record.values[name] = Wrong(kind)


def told_in(text: str) -> dict[str, str]:
    """`Auto Accident - Initial Report - Customer: CUST001` -> {"summary": "Auto Accident", "customer": "CUST001"}."""
    found: dict[str, str] = {}
    rest = []
    for part in text.split(" - "):
        label, colon, value = part.partition(":")
        if colon and label.strip().capitalize() in LABELS:
            found.setdefault(label.strip().lower(), value.strip())
        elif part.strip() and part.strip().lower() != "initial report":
            rest.append(part.strip())
    return {**found, "summary": " - ".join(rest)}


def investigation_parts(text: str) -> dict[str, str]:
    """`Adjuster: ADJ001 | Photos: 12` -> value by label, in order; what has no label stands under blanks."""
    parts: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split("|"))):
        label, colon, value = part.partition(":")
        if colon:
            known = {each.lower(): each for each in INVESTIGATION_LABELS}
            parts[known.get(label.strip().lower(), label.strip())] = value.strip()
        else:
            parts[" " * (len(parts) + 1)] = part
    return parts


def _fact(key: str) -> str:
    """`claim:temp:CLM003:incident_date` -> "Incident date"; the report or the investigation for its root."""
    parsed = keys.parse(key)
    if parsed is None:
        return key
    root = "report" if parsed.family is keys.claim_temp else "investigation"
    return parsed.parts.get("field", root).replace("_", " ").capitalize()


class _Facts:
    """Typed access to a claim's facts, wherever they stand: in a key of their own, else inside one of the texts."""

    def __init__(self, record: Record) -> None:
        self.values = record.values
        chosen = {fact: self._choose(names) for fact, names in _names(record.number).items()}
        self.reader = Reader(record.values, chosen)
        self.keys = chosen
        self.report = self.reader.text("report") or ""
        self.details = self.reader.text("details") or ""
        self.told = {**told_in(self.report), **{k: v for k, v in told_in(self.details).items() if v}}
        self.found = investigation_parts(self.reader.text("investigation") or "")

    def _choose(self, names: Sequence[str]) -> str:
        """The first key that holds a text, else the first that holds anything."""
        texts = (name for name in names if isinstance(self.values.get(name), str))
        return next(texts, next((name for name in names if self.values.get(name) is not None), names[0]))

    def problem(self, fact: str, what: str) -> None:
        self.reader.problems.append(Problem(self.keys[fact], what))

    def where_told(self, label: str) -> str:
        return "details" if f"{label}:" in self.details.lower() else "report"

    def identifier(self, fact: str) -> str | None:
        if self.reader.has(fact):
            return self.reader.identifier(fact)
        text = self.told.get(fact)
        if text is None or keys.is_identifier(text):
            return text
        self.problem(self.where_told(fact), f"names no identifier as {fact}: {shorten(text)}")
        return None

    def policy(self) -> str | None:
        own = self.reader.has("policy")
        text = self.reader.text("policy") if own else self.told.get("policy")
        if text is None or is_policy(text):
            return text
        self.problem("policy" if own else self.where_told("policy"), f"is not a policy: {shorten(text)}")
        return None

    def amount(self, fact: str, label: str) -> Decimal | None:
        if self.reader.has(fact):
            return self.reader.amount(fact)
        text = self.told.get(label)
        value = amount(text) if text is not None else None
        if text is not None and value is None:
            self.problem(self.where_told(label), f"has no amount after {label.capitalize()}: {shorten(text)}")
        return value

    def adjuster(self) -> str | None:
        if self.reader.has("adjuster"):
            return self.reader.identifier("adjuster")
        text = self.found.get("Adjuster")
        if text is None or keys.is_identifier(text):
            return text
        self.problem("investigation", f"names no identifier as adjuster: {shorten(text)}")
        return None

    def count(self, label: str) -> int | None:
        text = self.found.get(label)
        if text is None:
            return None
        if re.fullmatch(r"[0-9]{1,9}", text):
            return int(text)
        self.problem("investigation", f"has no number after {label}: {shorten(text)}")
        return None

    def stage(self, *, investigated: bool) -> Stage:
        """What the claim's own status says, else its text, else the kind of its last facts; undecided otherwise."""
        own = (self.reader.text("status") or "").strip().upper()
        for word in (own, self.told.get("status", "").upper()):
            if word in _DECIDED_BY_STATUS:
                return _DECIDED_BY_STATUS[word]
            if word == REOPENED:
                return self.undecided(investigated=investigated)
        if own:
            self.problem("status", f"says neither APPROVED nor DENIED: {shorten(own)}")
        if any(map(self.reader.has, ("denial_date", "denial_reason"))):
            return "denied"
        if any(map(self.reader.has, ("approval_date", "final_amount"))):
            return "approved"
        if self.reader.has("details"):
            self.problem("details", "does not say whether the claim was approved or denied")
        return self.undecided(investigated=investigated)

    def undecided(self, *, investigated: bool) -> Stage:
        if (self.reader.text("investigation_status") or "").strip().upper() == AWAITING:
            return "waiting"
        return "investigating" if investigated else "reported"

    def since(self, stage: Stage, record: Record) -> datetime | None:
        """When it came to its stage: as written, else told by how long its keys still live."""
        moment = self.reader.moment
        written = {
            "reported": "reported_date", "investigating": "assigned_date", "waiting": "proposed_date",
            "approved": "approval_date", "denied": "denial_date", "paid": "paid_date", "closed": "closed_date",
        }[stage]  # fmt: skip
        found = [at for at in (moment(written), moment("reopened_date") if stage in UNDECIDED else None) if at]
        if found or stage not in UNDECIDED:
            return max(found, default=None)
        names = keys.claim_temp_keys if stage == "reported" else keys.investigation_keys
        until = record.latest(names(record.number))
        began = until - _LIVES[stage] if until else 0
        return clock.moment(began) if 0 < began <= clock.now_ms() else None

    def problems(self) -> tuple[Problem, ...]:
        """What was found, and every key of a wrong type that nothing had to be read from; each once."""
        wrong = [
            Problem(name, f"holds a {value.kind}, not a text")
            for name, value in self.values.items()
            if isinstance(value, Wrong)
        ]
        return tuple(dict.fromkeys([*self.reader.problems, *wrong]))


def claim_of(record: Record, directory: Directory, *, lapsed: datetime | None = None) -> Claim:
    """The claim that these keys tell of; `lapsed`: since when they are no more."""
    number = record.number
    facts = _Facts(record)
    reader = facts.reader
    stage = facts.stage(investigated=record.has_any(keys.investigation_keys(number)))
    policy, agent = facts.policy(), facts.identifier("agent")
    timed = passing_keys(number) if stage in UNDECIDED else keys.claim_keys(number)
    denied = stage == "denied" or (stage == "closed" and reader.has("denial_date"))
    since = lapsed or facts.since(stage, record)
    first_estimate = facts.amount("first_estimate", "estimated")
    return Claim(
        number=number,
        stage=LAPSED if lapsed else stage,
        summary=told_in(facts.report)["summary"] or told_in(facts.details)["summary"] or None,
        policy=policy,
        product=policy.partition(":")[0] if policy else UNKNOWN,
        customer=facts.identifier("customer"),
        customer_name=None,
        reporter=reader.text("reporter"),
        incident=reader.moment("incident_date"),
        location=reader.text("location"),
        agent=agent,
        branch=directory.branch_of(agent),
        adjuster=facts.adjuster(),
        photos=facts.count("Photos"),
        witness_statements=facts.count("Witness Statements"),
        notes=reader.text("notes"),
        investigation_status=reader.text("investigation_status"),
        first_estimate=first_estimate,
        estimated=facts.amount("estimated", "estimated"),
        final_amount=facts.amount("final_amount", "amount") if stage not in (*UNDECIDED, "denied") else None,
        decided=reader.moment("denial_date" if denied else "approval_date") if stage not in UNDECIDED else None,
        denial_reason=reader.text("denial_reason") if denied else None,
        reported_by=reader.text("reported_by"),
        reported=reader.moment("reported_date"),
        assigned=reader.moment("assigned_date"),
        reserve=reader.amount("reserve"),
        proposed=reader.amount("proposed_amount"),
        proposed_by=reader.text("proposed_by"),
        proposed_at=reader.moment("proposed_date"),
        returned_reason=reader.text("returned_reason"),
        approved_by=reader.text("approved_by"),
        paid=reader.amount("paid_amount"),
        paid_at=reader.moment("paid_date"),
        payment=reader.text("payment"),
        closed=reader.moment("closed_date"),
        reopened=reader.moment("reopened_date"),
        reopened_reason=reader.text("reopened_reason"),
        since=since,
        deadline=None if lapsed else record.soonest(timed),
        problems=facts.problems(),
    )
