"""Every address against every role, and against what belongs to others: one table, and no address without a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from redis import Redis

from dashboard import sample
from tests import cast
from tests.contents import contents

EVERYBODY, STAFF = "everybody", "agent supervisor admin"
BUSINESS, LEAD, WATCH, ADMIN = "agent supervisor", "supervisor", "supervisor admin", "admin"

# What an address takes (G: it is read, P: it is sent a form), and who may.
TABLE: dict[str, tuple[str, str]] = {
    "login": ("GP", EVERYBODY),
    "login_code": ("GP", EVERYBODY),
    "login_code_send": ("P", EVERYBODY),
    "login_authenticator": ("GP", EVERYBODY),
    "login_forgotten": ("GP", EVERYBODY),
    "login_reset": ("GP", EVERYBODY),
    "theme": ("P", EVERYBODY),
    "account": ("G", STAFF),
    "account_password": ("GP", STAFF),
    "account_authenticator": ("GP", STAFF),
    "account_authenticator_code": ("GP", STAFF),
    "account_authenticator_remove": ("GP", STAFF),
    "account_email": ("GP", STAFF),
    "account_recovery": ("GP", STAFF),
    "account_sessions_end": ("P", STAFF),
    "logout": ("P", STAFF),
    "overview": ("G", STAFF),
    "go": ("G", STAFF),
    "suggest": ("G", STAFF),
    "filter_save": ("P", STAFF),
    "filter_remove": ("P", STAFF),
    "customers": ("G", STAFF),
    "customers_csv": ("G", STAFF),
    "customer": ("G", STAFF),
    "customer_new": ("GP", BUSINESS),
    "customer_edit": ("GP", BUSINESS),
    "customer_call": ("P", BUSINESS),
    "customer_repair": ("P", BUSINESS),
    "customer_move": ("P", BUSINESS),
    "customer_move_undo": ("P", BUSINESS),
    "drift": ("G", WATCH),
    "drift_csv": ("G", WATCH),
    "locations": ("G", STAFF),
    "locations_csv": ("G", STAFF),
    "location": ("G", STAFF),
    "location_repair": ("P", BUSINESS),
    "segments": ("G", STAFF),
    "segment": ("G", STAFF),
    "segment_csv": ("G", STAFF),
    "policies": ("G", STAFF),
    "policies_csv": ("G", STAFF),
    "renewals": ("G", STAFF),
    "policy": ("G", STAFF),
    "policy_new": ("GP", BUSINESS),
    "policy_vin": ("G", BUSINESS),
    "policy_edit": ("GP", BUSINESS),
    "policy_endorse": ("GP", BUSINESS),
    "policy_renew": ("GP", BUSINESS),
    "policy_cancel": ("GP", BUSINESS),
    "policy_reinstate": ("GP", BUSINESS),
    "policy_agent": ("GP", BUSINESS),
    "policy_lapse": ("P", BUSINESS),
    "policy_undo": ("P", BUSINESS),
    "policy_plan_withdraw": ("P", BUSINESS),
    "policies_reassign": ("GP", LEAD),
    "quotes": ("G", STAFF),
    "quotes_csv": ("G", STAFF),
    "quotes_lapsed": ("G", STAFF),
    "quotes_lapsed_csv": ("G", STAFF),
    "quotes_funnel": ("G", STAFF),
    "quotes_compare": ("GP", STAFF),
    "quote": ("G", STAFF),
    "quote_sheet": ("G", STAFF),
    "quote_new": ("GP", BUSINESS),
    "quote_bind": ("GP", BUSINESS),
    "quote_extend": ("P", BUSINESS),
    "quote_withdraw": ("P", BUSINESS),
    "quotes_extend": ("P", BUSINESS),
    "underwriting": ("GP", BUSINESS),
    "claims": ("G", STAFF),
    "claims_csv": ("G", STAFF),
    "claims_escalated": ("G", STAFF),
    "claims_ageing": ("G", STAFF),
    "claims_adjusters": ("G", WATCH),
    "claims_adjuster": ("G", STAFF),
    "claim": ("G", STAFF),
    "claim_new": ("GP", BUSINESS),
    "claim_assign": ("GP", BUSINESS),
    "claim_investigate": ("GP", BUSINESS),
    "claim_reserve": ("GP", BUSINESS),
    "claim_approve": ("GP", BUSINESS),
    "claim_return": ("GP", LEAD),
    "claim_deny": ("GP", BUSINESS),
    "claim_pay": ("GP", BUSINESS),
    "claim_close": ("GP", BUSINESS),
    "claim_reopen": ("GP", LEAD),
    "claim_restore": ("P", BUSINESS),
    "metrics": ("G", STAFF),
    "metrics_csv": ("G", STAFF),
    "metrics_trends": ("G", STAFF),
    "metrics_trends_csv": ("G", STAFF),
    "metrics_close": ("P", LEAD),
    "sessions": ("G", ADMIN),
    "sessions_csv": ("G", ADMIN),
    "session_revoke": ("GP", ADMIN),
    "sessions_ended": ("G", ADMIN),
    "sessions_ended_csv": ("G", ADMIN),
    "session_person": ("G", ADMIN),
    "session_rights": ("GP", ADMIN),
    "session_activity": ("P", ADMIN),
    "security": ("G", ADMIN),
    "security_csv": ("G", ADMIN),
    "security_lift": ("GP", ADMIN),
    "security_account": ("G", ADMIN),
    "staff": ("G", ADMIN),
    "staff_new": ("GP", ADMIN),
    "staff_edit": ("GP", ADMIN),
    "staff_close": ("P", ADMIN),
    "staff_reopen": ("P", ADMIN),
    "staff_reset": ("GP", ADMIN),
    "staff_factor": ("P", ADMIN),
    "compliance": ("G", WATCH),
    "compliance_csv": ("G", WATCH),
    "compliance_jsonl": ("G", WATCH),
    "access_log": ("G", WATCH),
    "payments": ("G", WATCH),
    "payments_csv": ("G", WATCH),
    "payment_new": ("GP", LEAD),
    "reviews": ("G", WATCH),
    "review_new": ("GP", LEAD),
    "review_decide": ("GP", LEAD),
    "holds": ("G", WATCH),
    "hold_new": ("GP", WATCH),
    "hold_release": ("GP", LEAD),
    "retention": ("G", WATCH),
    "verify_chain": ("P", WATCH),
    "keys": ("G", ADMIN),
    "keys_count": ("P", ADMIN),
    "keys_find": ("G", ADMIN),
    "keys_family": ("G", ADMIN),
    "keys_key": ("G", ADMIN),
    "keys_change": ("GP", ADMIN),
    "keys_lint": ("G", ADMIN),
    "keys_fix": ("P", ADMIN),
    "keys_batch": ("GP", ADMIN),
    "keys_clean_up": ("P", ADMIN),
    "server": ("G", ADMIN),
    "memory": ("G", ADMIN),
    "memory_compare": ("P", ADMIN),
    "memory_convert": ("P", ADMIN),
    "api_clients": ("G", ADMIN),
    "api_client_new": ("GP", ADMIN),
    "api_client_revoke": ("P", ADMIN),
    "api_docs": ("G", ADMIN),
    "job": ("G", STAFF),
    "job_start": ("P", STAFF),
    "job_stop": ("P", STAFF),
}

SLOTS: dict[str, str] = {
    "product": "auto", "number": "100001", "claim": "CLM001", "customer": "CUST001", "city": "dallas",
    "zip_code": "75201", "kind": "segment", "name": "high_risk", "adjuster": "AG001", "span": "2020-01-01",
    "session": "customer:CUST001:portal", "job": "nobody-began-it", "account": "AG001", "person": "AG001",
    "token": "nobody-was-sent-it", "hold": "nobody-put-it-on",
}  # fmt: skip
NUMBERS = {"quote": ("auto", "Q001"), "underwriting": ("life", "Q007")}
"""Things other than policies: by the beginning of the address's name."""

PEOPLE = {"agent": cast.AGENT, "supervisor": cast.SUPERVISOR, "admin": cast.ADMIN}


def names(resolver: URLResolver | None = None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every address that has a name, with its slots."""
    for each in (resolver or get_resolver()).url_patterns:
        if isinstance(each, URLResolver):
            if str(each.pattern) != "api/v1/":  # answered to tokens alone: tests/api
                yield from names(each)
        elif isinstance(each, URLPattern) and each.name:
            yield each.name, tuple(each.pattern.converters)


def address(name: str, slots: tuple[str, ...]) -> str:
    values = dict(SLOTS)
    for head, (product, number) in NUMBERS.items():
        if name.startswith(head):
            values |= {"product": product, "number": number}
    return reverse(name, kwargs={slot: values[slot] for slot in slots})


def ask(client: Client, method: str, path: str) -> Any:
    return client.get(path) if method == "G" else client.post(path)


@pytest.fixture
def book(demo: None, store: Redis) -> Redis:
    """The sample book, which has one of everything."""
    sample.load(store)
    return store


def test_every_address_has_its_row_and_every_row_its_address() -> None:
    assert {name for name, _ in names()} == set(TABLE)


@pytest.mark.parametrize("role", PEOPLE)
def test_each_role_reaches_what_is_its_own_and_nothing_else(book: Redis, role: str) -> None:
    client, wrong = cast.signed_in(PEOPLE[role]), {}
    for name, slots in names():
        takes, who = TABLE[name]
        for method in "GP":
            if name in ("login", "logout", "account_sessions_end"):
                continue
            status = ask(client, method, address(name, slots)).status_code
            may = who == EVERYBODY or role in who.split()
            if method not in takes:
                fits = status == 405 or (status == 403 and not may)
            elif may:
                fits = status < 500 and status not in (403, 405)
            else:
                fits = status == 403
            if not fits:
                wrong[f"{method} {name}"] = status
    assert wrong == {}


def test_strangers_reach_the_sign_in_page_and_nothing_else(book: Redis) -> None:
    before, wrong = contents(book, "[^d]*"), {}
    for name, slots in names():
        for method in "GP":
            if TABLE[name][1] == EVERYBODY:
                continue
            answer = ask(Client(), method, address(name, slots))
            if answer.status_code != 302 or not answer.headers["Location"].startswith("/login/"):
                wrong[f"{method} {name}"] = answer.status_code
    assert wrong == {}
    assert contents(book, "[^d]*") == before


# -- what belongs to others

THINGS = ("policy", "quote", "underwriting", "claim")
"""How the names of addresses begin that lead to one thing of an agent's."""

FOREIGN = [
    (cast.SECOND_AGENT, {"product": "auto", "number": "100001", "claim": "CLM001"}, {"quote": ("auto", "Q001")}),
    (
        cast.SECOND_AGENT,
        {"product": "life", "number": "300001", "claim": "CLM001"},
        {"quote": ("life", "Q007"), "und": ("life", "Q007")},
    ),
    (cast.THIRD_AGENT, {"product": "auto", "number": "100001", "claim": "CLM001"}, {"quote": ("auto", "Q001")}),
]
"""Another branch's; another branch's of a product that is not theirs, either; a neighbouring branch's."""


@pytest.mark.parametrize(("person", "slots", "quotes"), FOREIGN)
def test_what_belongs_to_another_branch_or_product_is_not_there(
    book: Redis, person: str, slots: dict[str, str], quotes: dict[str, tuple[str, str]]
) -> None:
    client, wrong = cast.signed_in(person), {}
    before = contents(book, "[^dsm]*")  # without our own, sessions and figures
    for name, of in names():
        if name == "underwriting" and "und" not in quotes:
            continue  # the number is a life quote's, and that one is theirs
        if not name.startswith(THINGS) or not {"number", "claim"} & set(of) or "agent" not in TABLE[name][1]:
            continue
        values = dict(slots)
        for head, (product, number) in quotes.items():
            if name.startswith(head):
                values |= {"product": product, "number": number}
        path = reverse(name, kwargs={slot: values[slot] for slot in of})
        for method in TABLE[name][0]:
            status = ask(client, method, path).status_code
            # A verb goes back to the page it was sent from, and says there that there is no such thing.
            if status != 404 and not (TABLE[name][0] == "P" and status == 302):
                wrong[f"{method} {path}"] = status
    assert wrong == {}
    assert contents(book, "[^dsm]*") == before
