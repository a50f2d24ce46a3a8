"""Who may do what, and loaders that cannot be called without asking: 404 to strangers, 403 to readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import wraps
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from dashboard import keys, redis
from dashboard.errors import Expired, Forbidden, NotFound
from dashboard.repository import claims, customers, dossier, lapsed, policies, quotes
from dashboard.repository.agents import Scope
from dashboard.repository.sessions import AGENT_PERMISSIONS, Rights

Role = Literal["agent", "supervisor", "admin"]
ROLES: tuple[Role, ...] = ("agent", "supervisor", "admin")

Ability = Literal[
    "create_quotes", "bind_policies", "edit_policies", "edit_customers", "process_claims", "exceed_extensions",
    "view_customer_data",
    "review_drift",
    "approve_claims", "view_company_metrics", "close_periods", "reassign_policies", "manage_sessions", "unlock_accounts",
    "manage_keys",
    "manage_staff",
    "see_compliance", "review_compliance",
    "manage_api",
    "see_server",
]  # fmt: skip
_BUSINESS: frozenset[Ability] = frozenset(
    ("create_quotes", "bind_policies", "edit_policies", "edit_customers", "process_claims", "view_customer_data")
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
            "view_customer_data",
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

SESSION_PERMISSIONS: dict[Role, tuple[str, ...]] = {
    "agent": AGENT_PERMISSIONS,
    "supervisor": (*AGENT_PERMISSIONS, "exceed_extensions", "view_company_metrics"),
    "admin": ("view_customer_data", "view_company_metrics", "manage_sessions", "unlock_accounts"),
}
"""What a role's sessions say that they may, in the customer's words (line 125) as far as they have some."""

_SAID_AS: dict[Ability, str] = {
    "edit_policies": "bind_policies",
    "approve_claims": "process_claims",
    "edit_customers": "view_customer_data",
}
"""What needs another permission of the session than one of its own name."""

_SAID = frozenset(word for words in SESSION_PERMISSIONS.values() for word in words)


@dataclass(frozen=True)
class Viewer:
    """The person behind a request. `deadline`: Unix ms at which their workstation session ends. `granted`: what this
    session is restricted to; None: to nothing.
    """

    id: str
    name: str
    role: Role
    branch: str
    scope: Scope
    deadline: int
    granted: frozenset[str] | None = None

    def may(self, ability: Ability) -> bool:
        """Whether the account's role allows it, and the running session does, too."""
        said = _SAID_AS.get(ability, ability)
        granted = self.granted is None or said not in _SAID or said in self.granted
        return granted and ability in ABILITIES[self.role]

    @property
    def shares_with(self) -> tuple[object, ...]:
        """People for whom this is equal see the same lists, so one rendering serves them all."""
        branches = self.scope.branches
        granted = None if self.granted is None else tuple(sorted(self.granted & _SAID))
        seen = None if branches is None else tuple(sorted(branches))
        return self.role, seen, tuple(sorted(self.scope.products)), granted


def restricted(viewer: Viewer, rights: Rights) -> Viewer:
    """The same person in a session that may be restricted further. The account is asked on each request, and what it does
    not allow the session's copy never gives (trap 24).
    """
    branches, products = viewer.scope.branches, viewer.scope.products
    # Who sees every branch has them all listed at sign-in: that is a restriction only once one was taken away.
    if rights.branches is not None and (branches is not None or "branch_access" in rights.narrowed):
        branches = rights.branches if branches is None else branches & rights.branches
    if rights.products is not None:
        products &= rights.products
    return replace(viewer, scope=Scope(branches, products), granted=rights.permissions)


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
    try:
        found = quotes.get(redis.client(), product, number)
    except Expired:
        ended_quote_for(viewer, product, number)  # how a stranger's quote ended is no more theirs than the quote was
        raise
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
    calls; what is theirs is seen by branch and product. Raises NotFound, and
    Forbidden for a session from which customers' data was taken.
    """
    if not viewer.may("view_customer_data"):
        raise Forbidden("Your session does not allow this.")
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
