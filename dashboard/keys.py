"""Every key name, as data: one `Family` for each kind of key, and a parser from a key back to what it is.

A family is called to build a key (`policy_field("auto", "100001", "premium")`) and refuses what is not allowed in
one. Families are tried in the order they stand here, so reserved words (`claim:temp`, `customer:multi_policy`,
`metrics:...:agent`) are recognised before an identifier could be mistaken for them.

Names outside `dash:` are the customer's contract; everything under `dash:` is ours. What of it is marked `rebuilt` may
be lost: `manage.py reindex` makes it anew. `docs/data-layout.md` is held against this module by a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter
from typing import Literal, NamedTuple

Kind = Literal["string", "hash", "set", "zset", "list"]

MINUTE, HOUR, DAY = 60, 3_600, 86_400
YEAR = 365 * DAY
SEVEN_YEARS = 220_752_000

PRODUCTS = ("auto", "home", "life")
PERIODS = ("daily", "weekly", "monthly", "quarterly")
DEVICES = ("mobile", "tablet")
LOCKOUT_LEVELS = ("level1", "level2", "level3")
RISKS = ("high", "medium", "low")

POLICY_FIELDS = (
    "details", "status", "premium", "premium_monthly", "customer", "agent", "effective_date", "expiration_date",
    "deductible", "vehicle", "vehicle_vin", "coverage_limits", "property_address", "property_value", "coverage_type",
    "coverage_amount", "term_years", "quote",
)  # fmt: skip
QUOTE_FIELDS = (
    "customer", "agent", "created", "premium", "premium_monthly", "risk_level", "vehicle", "vehicle_vin",
    "coverage_limits", "deductible", "property_address", "property_value", "coverage_type", "coverage_amount",
    "term_years", "medical_exam_required",
)  # fmt: skip
CUSTOMER_FIELDS = (
    "profile", "address", "risk_score", "credit_score", "customer_since", "communication_preference",
    "marketing_opt_in", "preferred_agent", "payment_method", "policies", "policy_count", "total_premium",
    "last_login", "login_count", "last_payment",
)  # fmt: skip
CLAIM_TEMP_FIELDS = (
    "reporter", "incident_date", "location", "policy", "customer", "agent", "estimated_amount", "reported_by",
    "reported_date",
)  # fmt: skip
INVESTIGATION_FIELDS = (
    "adjuster", "status", "estimated_amount", "notes", "assigned_date", "reserve", "proposed_amount", "proposed_by",
    "proposed_date", "returned_reason",
)  # fmt: skip
CLAIM_FIELDS = (
    "details", "final_amount", "status", "approval_date", "denial_date", "denial_reason", "reporter", "incident_date",
    "location", "policy", "customer", "agent", "adjuster", "estimated_amount", "reported_by", "reported_date", "reserve",
    "approved_by", "paid_amount", "paid_date", "payment", "closed_date", "reopened_date", "reopened_reason",
)  # fmt: skip
PORTAL_FIELDS = ("device", "permissions", "last_activity", "activity_level", "address")
WORKSTATION_FIELDS = (
    "permissions", "branch_access", "product_access", "quotes_today", "policies_sold_today", "customer_calls_today",
    "last_activity", "device", "address",
)  # fmt: skip
METRICS = (
    "policies_sold", "revenue", "claims_filed", "quotes_generated", "customer_acquisition", "claims_ratio",
    "growth_rate", "customer_retention",
)  # fmt: skip

# An identifier holds no delimiter of key names (:), of globs (*?[]^\), of hash tags ({}), of text values (|), of lists
# (,) or of addresses (/), no white space and no control characters. isprintable() refuses the invisible rest.
_IDENTIFIER = r"[^\s:*?\[\]^\\{}|,/\x00-\x1f\x7f]{1,64}"
_is_identifier = re.compile(_IDENTIFIER).fullmatch

_SLOTS = {
    "product": "|".join(PRODUCTS),
    "date": r"\d{4}-\d\d-\d\d",
    "week": r"\d{4}-W\d\d",
    "month": r"\d{4}-\d\d",
    "quarter": r"\d{4}-Q[1-4]",
    # One key a day in the document; ours add the time and randomness, so that no change overwrites another.
    "stamp": r"\d{8}(?:T\d{9}-[0-9a-f]{8})?",
    "device": "|".join(DEVICES),
    "form": "|".join(("portal", *DEVICES)),
    "record": r"\d{8}T\d{9}-[0-9a-f]{8}",
    "level": "|".join(LOCKOUT_LEVELS),
    "risk": "|".join(RISKS),
    "metric": "|".join(METRICS),
    # A day, a week, a month or a quarter: each by its own form, so one slot can hold all four.
    "span": r"\d{4}-(?:\d\d-\d\d|W\d\d|\d\d|Q[1-4])",
    "cell": r"[^\s:*?\[\]^\\{}|/]+",
    "rest": r".+",
}
_RESERVED = {"claim": {"temp"}, "customer": {"multi_policy"}}


def is_identifier(text: str) -> bool:
    """Whether `text` may stand in a key name: 1 to 64 printable characters, no delimiter, no white space."""
    return bool(_is_identifier(text)) and text.isprintable()


def is_customer(text: str) -> bool:
    """Whether `text` may be a customer's number: an identifier, and none of the words that stand in its place."""
    return is_identifier(text) and text not in _RESERVED["customer"]


def numbered(ids: Iterable[str]) -> list[tuple[str, str, str]]:
    """(`auto:100001`, `auto`, `100001`) of each of these that is the id of a policy or quote."""
    split = ((each, *each.partition(":")[::2]) for each in ids)
    return [each for each in split if each[1] in PRODUCTS and is_identifier(each[2])]


class BadIdentifier(ValueError):
    """A part that must not stand in a key name."""


class Parsed(NamedTuple):
    """A key, recognised: its family and the parts in its name, e.g. {"product": "auto", "number": "100001"}."""

    family: Family
    parts: dict[str, str]

    @property
    def subject(self) -> str | None:
        """The thing this key is a part of, e.g. `auto:100001`; None where it is none of the live areas' things."""
        return self.family.subject.format(**self.parts) if self.family.subject else None


@dataclass(frozen=True, eq=False)
class Family:
    """One kind of key.

    pattern   e.g. `policy:{product}:{number}:{field}`; a slot is of the form _SLOTS gives it, else an identifier
    kind      the Redis type
    lives     seconds from its writing, (shortest, longest); None: for ever
    meaning   one sentence
    area      the part of the dashboard that shows it: quotes, policies, claims, sessions, metrics, customers, security
    subject   pattern of the thing it belongs to
    fields    what `{field}` may be
    rebuilt   whether `manage.py reindex` can make it anew from other keys and the accounts
    precious  whether it is kept for good and nothing can make it anew: it belongs in every backup
    """

    pattern: str
    kind: Kind
    lives: tuple[int, int] | None
    meaning: str
    area: str = ""
    subject: str = ""
    fields: tuple[str, ...] = field(default=())
    rebuilt: bool = False
    precious: bool = False

    @cached_property
    def slots(self) -> tuple[str, ...]:
        return tuple(name for _, name, _, _ in Formatter().parse(self.pattern) if name)

    @cached_property
    def _checks(self) -> tuple[Callable[[str], object], ...]:
        """What says whether a part may stand in its slot, one for each."""
        return tuple(self._check(slot, re.compile(self._form(slot)).fullmatch) for slot in self.slots)

    def _check(self, slot: str, fits: Callable[[str], object]) -> Callable[[str], object]:
        if slot != "cell" and (slot == "field" or slot in _SLOTS):
            return fits
        return lambda part: fits(part) and self._allowed(slot, part)

    @cached_property
    def _frame(self) -> str:
        return "".join(literal + ("%s" if slot else "") for literal, slot, _, _ in Formatter().parse(self.pattern))

    @cached_property
    def _reserved(self) -> frozenset[str]:
        return frozenset(_RESERVED.get(self.pattern.partition(":")[0], ()))

    @cached_property
    def regex(self) -> re.Pattern[str]:
        out = ""
        for literal, slot, _, _ in Formatter().parse(self.pattern):
            out += re.escape(literal) + (f"(?P<{slot}>{self._form(slot)})" if slot else "")
        return re.compile(out)

    def __call__(self, *parts: str) -> str:
        """The key's name. Raises BadIdentifier for a part that may not stand in it."""
        if len(parts) != len(self.slots):
            raise TypeError(f"{self.pattern} takes {len(self.slots)} parts, not {len(parts)}")
        for slot, fits, part in zip(self.slots, self._checks, parts, strict=True):
            if not fits(part):
                raise BadIdentifier(f"{part[:80]!r} cannot be the {slot} in {self.pattern}")
        return self._frame % parts

    def match(self, key: str) -> dict[str, str] | None:
        found = self.regex.fullmatch(key)
        if not found or not all(self._allowed(slot, part) for slot, part in found.groupdict().items()):
            return None
        return found.groupdict()

    def _form(self, slot: str) -> str:
        return "|".join(self.fields) if slot == "field" else _SLOTS.get(slot, _IDENTIFIER)

    def _allowed(self, slot: str, part: str) -> bool:
        if slot == "cell":
            return part.isprintable()
        if slot == "field" or slot in _SLOTS:
            return True
        return part.isprintable() and part not in self._reserved


_POLICY, _QUOTE = "{product}:{number}", "{product}:{number}"
_PLACE = "{city}:{zip}"
_QUOTE_LIFE = (3 * MINUTE, 6 * HOUR)  # half an hour, extended as often as a supervisor may

# --- policies, lines 5-45 and 318-330 of the customer's document
policy_field = Family(
    "policy:{product}:{number}:{field}", "string", None, "One fact of a policy kept as strings.",
    "policies", _POLICY, POLICY_FIELDS,
)  # fmt: skip
policy = Family(
    "policy:{product}:{number}", "hash", None, "A policy kept as one hash, with the same fields.",
    "policies", _POLICY,
)  # fmt: skip
location_policies = Family(
    "location:{city}:{zip}:policies", "string", None, "Policies in a ZIP area, as a comma list of type:number.",
    "places", _PLACE,
)  # fmt: skip
location_risk = Family(
    "location:{city}:{zip}:risk_score", "string", None, "Risk score of a ZIP area.", "places", _PLACE
)

# --- customers
multi_policy = Family("customer:multi_policy", "set", None, "Customers that hold more than one policy.", "customers")
customer_field = Family(
    "customer:{customer}:{field}", "string", None, "One fact of a customer; texts are split at bars, then at the first colon.",
    "customers", "{customer}", CUSTOMER_FIELDS,
)  # fmt: skip
segment = Family(
    "segment:{segment}", "set", None, "Customers of one risk segment; exclusive.", "groups", "segment:{segment}"
)
tier = Family("tier:{tier}", "set", None, "Customers of one lifetime value tier; exclusive.", "groups", "tier:{tier}")

# --- quotes
quote = Family(
    "quote:{product}:{number}", "string", _QUOTE_LIFE, "A quote's root, one line of text: the quote lives as long.",
    "quotes", _QUOTE,
)  # fmt: skip
quote_field = Family(
    "quote:{product}:{number}:{field}", "string", _QUOTE_LIFE, "One fact of a quote; ends with its root.",
    "quotes", _QUOTE, QUOTE_FIELDS,
)  # fmt: skip
underwriting_assessment = Family(
    "underwriting:assessment:{number}", "string", (HOUR, 6 * HOUR), "Underwriter's assessment of a life quote.",
    "quotes", "life:{number}",
)  # fmt: skip
underwriting_exam = Family(
    "underwriting:medical_exam:{number}", "string", (2 * HOUR, 90 * DAY),
    "Medical examination of a life quote; lives to the later of appointment and quote.", "quotes", "life:{number}",
)  # fmt: skip

# --- sessions: portal, workstation and the devices are sessions, the rest are attributes of one
portal = Family(
    "session:customer:{person}:portal", "string", (15 * MINUTE, 2 * HOUR), "A customer's portal session.",
    "sessions", "customer:{person}:portal",
)  # fmt: skip
portal_field = Family(
    "session:customer:{person}:{field}", "string", (15 * MINUTE, 2 * HOUR), "One attribute of a portal session.",
    "sessions", "customer:{person}:portal", PORTAL_FIELDS,
)  # fmt: skip
device_session = Family(
    "session:{device}:{person}:{id}", "string", (2 * HOUR, 2 * HOUR),
    "A customer's session in the mobile or tablet app.", "sessions", "{device}:{person}:{id}",
)  # fmt: skip
workstation = Family(
    "session:agent:{person}:workstation", "string", (8 * HOUR, 8 * HOUR), "A staff member's session: the working day.",
    "sessions", "agent:{person}:workstation",
)  # fmt: skip
workstation_field = Family(
    "session:agent:{person}:{field}", "string", (8 * HOUR, 8 * HOUR), "One attribute of a workstation session.",
    "sessions", "agent:{person}:workstation", WORKSTATION_FIELDS,
)  # fmt: skip

# --- claims: temporary record, investigation, permanent record
_CLAIM = "{claim}"
claim_temp = Family(
    "claim:temp:{claim}", "string", (7 * DAY, 30 * DAY), "A claim as first reported; carried along once assigned.",
    "claims", _CLAIM,
)  # fmt: skip
claim_temp_field = Family(
    "claim:temp:{claim}:{field}", "string", (7 * DAY, 30 * DAY), "One fact of a reported claim.",
    "claims", _CLAIM, CLAIM_TEMP_FIELDS,
)  # fmt: skip
claim_field = Family(
    "claim:{claim}:{field}", "string", None, "One fact of a decided claim, for ever.", "claims", _CLAIM, CLAIM_FIELDS
)
investigation = Family(
    "investigation:{claim}", "string", (30 * DAY, 30 * DAY), "An investigation in one line; permanent once decided.",
    "claims", _CLAIM,
)  # fmt: skip
investigation_field = Family(
    "investigation:{claim}:{field}", "string", (30 * DAY, 30 * DAY), "One fact of an investigation.",
    "claims", _CLAIM, INVESTIGATION_FIELDS,
)  # fmt: skip


# --- metrics: company, department (product) and agent, in four periods
METRIC_RETENTION = {"daily": DAY, "weekly": 7 * DAY, "monthly": 30 * DAY, "quarterly": 90 * DAY}
_PERIOD_LENGTH = {
    "daily": DAY + HOUR,
    "weekly": 7 * DAY + HOUR,
    "monthly": 31 * DAY + HOUR,
    "quarterly": 92 * DAY + HOUR,
}
"""The longest of each kind, the hour for when clocks change."""


def _metric_families(period: str, slot: str) -> dict[str, Family]:
    head = f"metrics:{period}:{{{slot}}}"
    kept = METRIC_RETENTION[period]
    # From the figure's writing: the document's lifetime at least, and at most what is left of the period besides.
    lives = kept, kept + _PERIOD_LENGTH[period]
    meaning = f"{{}} {period} figure.".format
    return {
        "agent": Family(head + ":agent:{agent}:{metric}", "string", lives, meaning("An agent's"), "metrics"),
        "department": Family(head + ":{product}:{metric}", "string", lives, meaning("A department's"), "metrics"),
        "company": Family(head + ":{metric}", "string", lives, meaning("The company's"), "metrics"),
    }


_daily = _metric_families("daily", "date")
daily_agent_metric, daily_department_metric, daily_metric = _daily.values()
_weekly = _metric_families("weekly", "week")
weekly_agent_metric, weekly_department_metric, weekly_metric = _weekly.values()
_monthly = _metric_families("monthly", "month")
monthly_agent_metric, monthly_department_metric, monthly_metric = _monthly.values()
_quarterly = _metric_families("quarterly", "quarter")
quarterly_agent_metric, quarterly_department_metric, quarterly_metric = _quarterly.values()
METRIC_FAMILIES = {"daily": _daily, "weekly": _weekly, "monthly": _monthly, "quarterly": _quarterly}
"""By period, then by whose figure it is: agent, department, company."""
AGENT_METRICS = tuple(families["agent"] for families in METRIC_FAMILIES.values())

# --- security
failed_logins = Family(
    "security:failed_logins:{person}", "string", (5 * MINUTE, DAY + 5 * MINUTE),
    "Failed sign-ins: for five minutes from the latest, and as long beyond a lockout that they led to.",
    "security", "failures:{person}",
)  # fmt: skip
lockout = Family(
    "security:lockout:{person}:{level}", "string", (15 * MINUTE, DAY), "Sign-in closed for an account.",
    "security", "lock:{person}",
)  # fmt: skip
password_reset = Family(
    "security:password_reset:{person}:{token}", "string", (15 * MINUTE, 15 * MINUTE),
    "A password reset token; of ours only its digest is kept, in the value.", "security", "reset:{person}:{token}",
)  # fmt: skip
two_factor = Family(
    "security:2fa:{person}:{code}", "string", (5 * MINUTE, 5 * MINUTE),
    "A second factor code; of ours only its digest is kept, in the value.", "security", "code:{person}:{code}",
)  # fmt: skip

# --- audit and compliance
policy_audit = Family(
    "audit:policy:{product}:{number}:change:{stamp}", "string", (YEAR, YEAR), "A change to a policy: what, by whom.",
    "policies", _POLICY,
)  # fmt: skip
quote_audit = Family(
    "audit:quote:{product}:{number}:change:{stamp}", "string", (YEAR, YEAR), "A change to a quote (ours).",
    "quotes", _QUOTE,
)  # fmt: skip
claim_audit = Family(
    "audit:claim:{claim}:change:{stamp}", "string", (YEAR, YEAR), "A step in a claim's life (ours).", "claims", _CLAIM
)
session_audit = Family(
    "audit:session:{person}:change:{stamp}",
    "string",
    (YEAR, YEAR),
    "What an admin did about a session: ended it, changed its timeout or its rights (ours).",
    "security",
)
security_audit = Family(
    "audit:security:{person}:change:{stamp}", "string", (YEAR, YEAR),
    "What befell an account: closed, opened, its password or second factor changed (ours).", "security",
)  # fmt: skip
customer_audit = Family(
    "audit:customer:{customer}:change:{stamp}", "string", (YEAR, YEAR), "A change to a customer (ours).",
    "customers", "{customer}",
)  # fmt: skip
place_audit = Family(
    "audit:location:{city}:{zip}:change:{stamp}", "string", (YEAR, YEAR), "A repair of a ZIP area's list (ours).",
    "places", _PLACE,
)  # fmt: skip
key_audit = Family(
    "audit:key:{id}:change:{stamp}", "string", (YEAR, YEAR),
    "A change in the key space itself, by a key's digest or a batch's number (ours).", "keyspace",
)  # fmt: skip
access_audit = Family(
    "audit:access:customer:{customer}:{stamp}", "string", (90 * DAY, 90 * DAY), "Who looked at a customer.",
    "customers", "{customer}",
)  # fmt: skip
payment_audit = Family(
    "audit:payment:transaction:{transaction}", "string", (SEVEN_YEARS, SEVEN_YEARS + 3 * DAY), "A payment.",
    "payments", "{transaction}",
)  # fmt: skip
compliance_review = Family(
    "compliance:review:policy:{product}:{number}", "string", (30 * DAY, 30 * DAY), "A policy under regulatory review.",
    "reviews", _POLICY,
)  # fmt: skip

# --- ours
agents = Family("dash:agents", "hash", None, "Branch of each agent, copied from the accounts.", rebuilt=True)
index = Family(
    "dash:index:{area}:{cell}:{sort}", "zset", None, "Members of one cell of a list, by score: a hint, not the truth.",
    rebuilt=True,
)  # fmt: skip
indexed = Family(
    "dash:indexed:{area}:{bucket}", "hash", None, "Facets under which each member stands in the index.", rebuilt=True
)
words = Family(
    "dash:search:{area}:{words}", "zset", None,
    "Words that lead to a thing, in order: `smith john`, a NUL, its number. A hint, too.", rebuilt=True,
)  # fmt: skip
group_figures = Family(
    "dash:group:{kind}:{group}", "hash", None, "Size and premiums of a large segment or tier when last added up.",
    rebuilt=True,
)  # fmt: skip
history = Family(
    "dash:history:{area}:{cell}", "zset", (90 * DAY, SEVEN_YEARS + 3 * DAY), "Audit keys of one thing, by Unix ms.",
    rebuilt=True,
)  # fmt: skip
audit_list = Family(
    "dash:audit:{list}:{cell}", "zset", (90 * DAY, SEVEN_YEARS + 3 * DAY),
    "Audit keys of one kind, or of what one person did, by Unix ms.", rebuilt=True,
)  # fmt: skip
chain_queue = Family(
    "dash:chain-queue", "list", None, "Audit keys that wait to be sealed into the chain, in order.", rebuilt=True
)
chain = Family(
    "dash:chain:{bucket}", "list", None,
    "A thousand links of the chain over the audit records: key, digest of its value, its end, the link, as JSON.",
    precious=True,
)  # fmt: skip
chain_head = Family("dash:chain-head", "hash", None, "How many links the chain has, and the last one.", precious=True)
review_snapshot = Family(
    "dash:review:{product}:{number}", "hash", (YEAR, YEAR + 30 * DAY),
    "A policy's latest review: its text and end, or how it was decided; kept a year beyond that.", "reviews", _POLICY,
)  # fmt: skip
hold = Family(
    "dash:hold:{hold}", "hash", None, "A legal hold: on what, why, by whom, since when, and the keys that it keeps.",
    "holds", "{hold}", precious=True,
)  # fmt: skip
held = Family(
    "dash:held", "hash", None, "Each key that a legal hold keeps from ending: its own end in Unix ms, and the holds on it.",
    precious=True,
)  # fmt: skip
verification = Family(
    "dash:verification", "hash", (YEAR, YEAR), "The latest look at the whole chain, and the one under way, as JSON."
)
access_noted = Family(
    "dash:access-noted:{date}:{digest}", "string", (1, DAY + HOUR),
    "That a person's look at a customer is on record for the day.",
)  # fmt: skip
metric_agents = Family(
    "dash:metric-agents:{span}", "set", (DAY, METRIC_RETENTION["quarterly"] + _PERIOD_LENGTH["quarterly"]),
    "Agents that have a figure in that day, week, month or quarter.", rebuilt=True,
)  # fmt: skip
metric_parts = Family(
    "dash:parts:{span}", "hash", (DAY, METRIC_RETENTION["quarterly"] + _PERIOD_LENGTH["quarterly"]),
    "What a period's ratios are made of, as `agent=AG001:claims_decided`; ends with its figures.",
)  # fmt: skip
decision = Family(
    "dash:decision:{claim}", "hash", None,
    "A claim's decision as the figures have it: what was approved, of which product, for whom.",
)  # fmt: skip
ending = Family(
    "dash:ending:{product}:{number}", "string",
    (METRIC_RETENTION["quarterly"], METRIC_RETENTION["quarterly"] + _PERIOD_LENGTH["quarterly"]),
    "A policy's cancellation or lapse as the figures have it: day and agent, as JSON; ends with its quarter's.",
)  # fmt: skip
archive = Family(
    "dash:archive:{span}", "hash", None,
    "A closed period's figures by owner, as JSON, frozen; `closed` says when and by whom.", precious=True,
)  # fmt: skip
token = Family("dash:token:{digest}", "string", (DAY, DAY), "Result of a form sent once, for a repeat to get it again.")
plan = Family(
    "dash:plan:{product}:{number}", "string", None,
    "An endorsement or cancellation of a day to come, as JSON.", precious=True,
)  # fmt: skip
plans = Family("dash:plans", "zset", None, "Policies with one, by the beginning of that day.", precious=True)
policy_undo = Family(
    "dash:undo:{product}:{number}", "string", (10 * MINUTE, 10 * MINUTE),
    "How the latest service of a policy is taken back: the facts before it, as JSON.",
)  # fmt: skip
move_undo = Family(
    "dash:undo-move:{kind}:{customer}", "string", (10 * MINUTE, 10 * MINUTE),
    "How a customer's latest move between segments or tiers is taken back: from where, to where, as JSON.",
)  # fmt: skip
sequence = Family(
    "dash:sequence:{thing}", "string", None, "The last number given to a quote, policy or claim.", rebuilt=True
)
quote_terms = Family(
    "dash:quote:{product}:{number}", "hash", _QUOTE_LIFE, "A quote's lifetime in ms and its extensions; ends with it."
)
quote_snapshot = Family(
    "dash:snapshot:{product}:{number}", "hash", (30 * DAY, 31 * DAY), "A quote's facts, kept beyond its end.",
    "ended", _QUOTE,
)  # fmt: skip
funnel = Family(
    "dash:funnel:{date}",
    "hash",
    (35 * DAY, 36 * DAY),
    "Steps of the day's quotes by product, risk, agent and hour.",
)
quote_outcome = Family(
    "dash:outcome:{product}:{number}", "string", (30 * DAY, 30 * DAY), "How a quote ended: bound or withdrawn, by whom."
)
claim_snapshot = Family(
    "dash:claim:{claim}", "hash", (YEAR, YEAR + 30 * DAY), "An undecided claim's facts, kept a year beyond its end.",
    "claims", _CLAIM,
)  # fmt: skip
adjusters = Family("dash:adjusters", "set", None, "Everybody who was ever put on a claim.", rebuilt=True)
guesses = Family(
    "dash:guesses:{digest}", "string", (5 * MINUTE, 15 * MINUTE), "How often a code or token was guessed; ends with it."
)
issues = Family(
    "dash:issues:{digest}", "string", (15 * MINUTE, 15 * MINUTE), "How many codes or tokens an account was sent lately."
)
address_failures = Family(
    "dash:address:{digest}", "string", (15 * MINUTE, 15 * MINUTE), "Failed sign-ins from one network address."
)
api_requests = Family("dash:api:{client}", "string", (MINUTE, MINUTE), "Requests of an API client within a minute.")
tombstone = Family(
    "dash:tombstone:{person}", "string", (8 * HOUR, 8 * HOUR), "Who ended a staff member's session, and why."
)
session_facts = Family(
    "dash:session:{form}:{person}:{id}", "string", (15 * MINUTE, 2 * HOUR),
    "A portal or app session that was opened here, as JSON, with its secret's digest; ends with it.",
    "sessions", "{form}:{person}:{id}",
)  # fmt: skip
portal_latest = Family(
    "dash:portal:{person}", "string", (15 * MINUTE, 2 * HOUR),
    "Which of a customer's portal sessions the customer's own keys tell of; ends with it.",
)  # fmt: skip
portal_ended = Family(
    "dash:portal-ended:{person}", "string", (8 * HOUR, 8 * HOUR),
    "When the portal sessions of a customer that were ended had begun: none of them is brought back by another tool.",
)  # fmt: skip
refs_ended = Family(
    "dash:refs-ended:{person}", "string", (8 * HOUR, 8 * HOUR),
    "Digests of a person's workstation and app sessions that were ended: none of them is brought back by another tool.",
)  # fmt: skip
session_snapshot = Family(
    "dash:session-snapshot:{rest}", "string", (30 * DAY, 31 * DAY),
    "A live session's facts as JSON, kept beyond its end until that is on record.",
)  # fmt: skip
ended_session = Family(
    "dash:ended-session:{person}:{record}", "string", (30 * DAY, 30 * DAY),
    "How a session ended, when, by whom, and its facts, as JSON.", "ended_sessions", "{person}:{record}",
)  # fmt: skip
book = Family("dash:book:{name}", "hash", None, "What load_sample or generate wrote here, and how far they came.")
census = Family(
    "dash:census:{name}", "hash", None,
    "What the last look at all keys found, by family and by rule; and the one under way.",
)  # fmt: skip
census_sample = Family(
    "dash:census-sample:{family}", "list", None, "Names of keys of one family, at random, from the last look at all."
)
job = Family("dash:job:{job}", "hash", (HOUR, 7 * DAY), "Bulk work: what, by whom, how far.")
job_members = Family("dash:job-members:{job}", "list", (HOUR, 7 * DAY), "What a job is to be done to, in order.")
job_failures = Family("dash:job-failures:{job}", "list", (7 * DAY, 7 * DAY), "What a job could not do, and why.")
jobs_of = Family(
    "dash:jobs-of:{person}", "zset", (HOUR, 7 * DAY), "A person's bulk work of the last days, by Unix ms."
)  # fmt: skip
jobs_running = Family("dash:jobs-running", "set", None, "Jobs under way.")
saved_filters = Family(
    "dash:filters:{person}", "hash", None, "A person's saved filters, permanent: page and name to query."
)
lease = Family("dash:lease:{work}", "string", (5, 5), "Which process does this work now.")
follower_status = Family("dash:follower", "hash", (MINUTE, MINUTE), "State of the live follower.")
server_samples = Family(
    "dash:server-samples", "list", (10 * MINUTE, 10 * MINUTE), "The server's state in the last minutes, as JSON."
)
layout_comparison = Family(
    "dash:layouts", "string", (7 * DAY, 7 * DAY), "The latest comparison of the two layouts of policies, as JSON."
)
measured_policy = Family(
    "dash:~:{product}:{number}", "hash", (1, 1),
    "A policy as one hash, measured under a name as long as its own; only within one transaction.",
)  # fmt: skip
measured_field = Family(
    "dash:~:{product}:{number}:{part}", "string", (1, 1),
    "A policy's field, measured under a name as long as its own; only within one transaction.",
)  # fmt: skip
scratch = Family("dash:scratch:{id}", "zset", (5, 5), "Intersection of two cells, within one transaction.")
web_session = Family("dash:cache:{rest}", "string", (8 * HOUR, 14 * DAY), "The web framework's sessions.")

LIVE_CHANNEL = "dash:live"
AUDIT = "audit:"
"""How the names of audit records begin."""

CATALOGUE: dict[str, Family] = {name: value for name, value in list(globals().items()) if isinstance(value, Family)}

_by_prefix: dict[str, list[Family]] = {}
for _family in CATALOGUE.values():
    _by_prefix.setdefault(_family.pattern.partition(":")[0], []).append(_family)

# Key names whose changes the follower hears of; `dash:` is left out, so our own bookkeeping makes no noise.
FOLLOWED_PREFIXES = tuple(sorted(prefix for prefix in _by_prefix if prefix != "dash"))


def parse(key: str) -> Parsed | None:
    """What a key is, or None when the catalogue does not know it. Never raises, whatever the name holds."""
    for family in _by_prefix.get(key.partition(":")[0], ()):
        parts = family.match(key)
        if parts is not None:
            return Parsed(family, parts)
    return None


def policy_keys(product: str, number: str) -> list[str]:
    """Every key that may hold a part of this policy: the hash first, then the strings."""
    return [policy(product, number), *(policy_field(product, number, name) for name in POLICY_FIELDS)]


def quote_keys(product: str, number: str) -> list[str]:
    """Every key of a quote: the root first. The underwriting keys of a life quote have deadlines of their own."""
    return [quote(product, number), *(quote_field(product, number, name) for name in QUOTE_FIELDS)]


def customer_keys(customer: str) -> list[str]:
    return [customer_field(customer, name) for name in CUSTOMER_FIELDS]


def claim_temp_keys(claim: str) -> list[str]:
    return [claim_temp(claim), *(claim_temp_field(claim, name) for name in CLAIM_TEMP_FIELDS)]


def investigation_keys(claim: str) -> list[str]:
    return [investigation(claim), *(investigation_field(claim, name) for name in INVESTIGATION_FIELDS)]


def claim_keys(claim: str) -> list[str]:
    return [claim_field(claim, name) for name in CLAIM_FIELDS]


def portal_keys(person: str) -> list[str]:
    return [portal(person), *(portal_field(person, name) for name in PORTAL_FIELDS)]


def workstation_keys(person: str) -> list[str]:
    return [workstation(person), *(workstation_field(person, name) for name in WORKSTATION_FIELDS)]
