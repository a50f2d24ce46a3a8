"""Who may do what, and loaders that cannot be called without asking: 404 to strangers, 403 to readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from dashboard import keys, redis
from dashboard.errors import Forbidden, NotFound
from dashboard.repository import claims, customers, dossier, lapsed, policies, quotes
from dashboard.repository.agents import Scope

Role = Literal["agent", "supervisor", "admin"]
ROLES: tuple[Role, ...] = ("agent", "supervisor", "admin")

Ability = Literal[
    "create_quotes", "bind_policies", "edit_policies", "edit_customers", "process_claims", "exceed_extensions",
    "review_drift",
    "approve_claims", "view_company_metrics", "close_periods", "reassign_policies", "manage_sessions", "unlock_accounts",
    "manage_keys",
    "manage_staff",
    "see_compliance", "review_compliance",
    "manage_api",
    "see_server",
]  # fmt: skip
_BUSINESS: frozenset[Ability] = frozenset(
    ("create_quotes", "bind_policies", "edit_policies", "edit_customers", "process_claims")
)
ABILITIES: dict[Role, frozenset[Ability]] = {
    "agent": _BUSINESS,
    "supervisor": _BUSINESS
    | {
        "exceed_extensions",
        "review_drift",
        "approve_claims",
        "view_company_metrics",
        "close_periods",
        "reassign_policies",
        "see_compliance",
        "review_compliance",
    },
    "admin": frozenset(
        (
            "see_server",
            "review_drift",
            "view_company_metrics",
            "manage_sessions",
            "unlock_accounts",
            "manage_staff",
            "manage_keys",
            "see_compliance",
            "manage_api",
        )
    ),
}


@dataclass(frozen=True)
class Viewer:
    """The person behind a request. `deadline`: Unix ms at which their workstation session ends."""

    id: str
    name: str
    role: Role
    branch: str
    scope: Scope
    deadline: int

    def may(self, ability: Ability) -> bool:
        return ability in ABILITIES[self.role]

    @property
    def shares_with(self) -> tuple[object, ...]:
        """People for whom this is equal see the same lists, so one rendering serves them all."""
        branches = self.scope.branches
        return self.role, None if branches is None else tuple(sorted(branches)), tuple(sorted(self.scope.products))


View = Callable[..., HttpResponse]


def requires(ability: Ability) -> Callable[[View], View]:
    """Refuse the view to people without this ability."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not viewer_of(request).may(ability):
                raise Forbidden("Your role does not allow this.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def viewer_of(request: HttpRequest) -> Viewer:
    """The signed-in person; the middleware lets nobody else reach a view that asks."""
    return request.viewer  # type: ignore[attr-defined,no-any-return]


def policy_for(viewer: Viewer, product: str, number: str) -> policies.Policy:
    """A policy this person may see. Raises NotFound."""
    _known(product, number)
    found = policies.get(redis.client(), product, number)
    _visible(viewer, product, found.branch, f"There is no {product} policy {number}.")
    return found


def quote_for(viewer: Viewer, product: str, number: str) -> quotes.Quote:
    """A live quote this person may see. Raises Expired (it lived once, see `ended_quote_for`) or NotFound."""
    _known(product, number)
    _open_product(viewer, product, number)
    found = quotes.get(redis.client(), product, number)
    _visible(viewer, product, found.branch, f"There is no {product} quote {number}.")
    return found


def ended_quote_for(viewer: Viewer, product: str, number: str) -> lapsed.Ended:
    """What is kept of a quote after its end, if this person may see it. Raises NotFound."""
    _known(product, number)
    found = lapsed.get(redis.client(), product, number)
    if not found:
        raise NotFound(f"There is no {product} quote {number}.")
    _visible(viewer, product, found.branch, f"There is no {product} quote {number}.")
    return found


def claim_for(viewer: Viewer, number: str) -> claims.Claim:
    """A claim this person may see. Raises NotFound."""
    found = claims.get(redis.client(), number)
    _visible(viewer, found.product, found.branch, f"There is no claim {number}.")
    return found


def lapsed_claim_for(viewer: Viewer, number: str) -> claims.Claim:
    """What is kept of a claim whose record ended undecided, if this person may see it. Raises NotFound."""
    found = claims.lapsed(redis.client(), number)
    _visible(viewer, found.product, found.branch, f"There is no claim {number}.")
    return found


def claim_authority(viewer: Viewer) -> Decimal | None:
    """Dollars up to which this person approves a claim alone; None for those without a limit."""
    return None if viewer.may("approve_claims") else Decimal(settings.CLAIM_AUTHORITY)


def customer_for(viewer: Viewer, customer: str) -> customers.Customer:
    """A customer of whom anything is known. Everybody may see every customer: whoever picks up the phone has to know who
    calls; what is theirs is seen by branch and product. Raises NotFound.
    """
    client = redis.client()
    if not keys.is_customer(customer) or not dossier.known(client, customer):
        raise NotFound(f"Nothing is known of a customer {customer[:64]}.")
    return customers.get(client, customer)


def _open_product(viewer: Viewer, product: str, number: str) -> None:
    if product not in viewer.scope.products:
        raise NotFound(f"There is no {product} quote {number}.")


def _known(product: str, *identifiers: str) -> None:
    if product not in keys.PRODUCTS or not all(keys.is_identifier(each) for each in identifiers):
        raise NotFound("There is nothing under this address.")


def _visible(viewer: Viewer, product: str | None, branch: str, otherwise: str) -> None:
    if not viewer.scope.sees(product, branch):
        raise NotFound(otherwise)
