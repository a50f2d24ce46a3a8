"""Around the quotes board: batch extension, quotes that have ended, the funnel, comparison, the printed sheet, and the
underwriting of life quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboard import clock, keys, redis
from dashboard.charts import Bar, bars
from dashboard.errors import DomainError, Invalid, NotFound, StoreDown
from dashboard.forms.fields import refuse
from dashboard.forms.underwriting import Assessment, Exam
from dashboard.permissions import Viewer, quote_for, requires, viewer_of
from dashboard.repository import agents, funnel, jobs, lapsed, quotes, underwriting
from dashboard.repository.funnel import Row
from dashboard.repository.index import Cursor, Page
from dashboard.repository.lapsed import Ended
from dashboard.views import params, web
from dashboard.views.quotes import limit_of, wanted_quotes

T = TypeVar("T")

MOST_EXTENDED = 5_000
COMPARED = 3
PICTURED = 12


# -- batch extension


@require_POST
@requires("create_quotes")
def extend_many(request: HttpRequest) -> HttpResponse:
    """Preview the extension of the chosen quotes, or of all that the board's filter shows (its query is posted along)."""
    viewer = viewer_of(request)
    with web.told(request):
        chosen = [member for member, _, _ in keys.numbered(request.POST.getlist("q"))]
        if chosen:
            found = [member for member in chosen if _may_see(viewer, member)]
        else:
            found = quotes.ids(redis.client(), viewer.scope, wanted_quotes(request), most=MOST_EXTENDED)
        limit = {"limit": str(limit_of(viewer))}
        title = f"Extend {len(found):,} quote{'s' if len(found) != 1 else ''}"
        return redirect("job", jobs.preview("extend_quotes", found, limit, by=viewer.id, title=title))
    return web.back(request, reverse("quotes"))


def _may_see(viewer: Viewer, member: str) -> bool:
    try:
        quote_for(viewer, *member.split(":", 1))
    except NotFound:
        return False
    return True


# -- the board as a file


@require_GET
def board_csv(request: HttpRequest) -> StreamingHttpResponse:
    """All that the board's filter shows, the next to end first."""
    scope, wanted = viewer_of(request).scope, wanted_quotes(request)

    def rows() -> Iterator[tuple[object, ...]]:
        for page in _pages(lambda cursor: quotes.listing(redis.client(), scope, wanted, cursor=cursor, size=200)):
            for quote in page.rows:
                yield (
                    quote.product, quote.number, _until(quote), quote.customer, quote.customer_name, quote.subject,
                    quote.risk, quote.premium, quote.premium_monthly, quote.agent, quote.extensions,
                )  # fmt: skip

    header = ("product", "number", "ends", "customer", "name", "subject", "risk", "premium", "premium_monthly", "agent",
              "extensions")  # fmt: skip
    return web.csv_answer(f"quotes-{clock.today():%Y-%m-%d}.csv", header, rows())


def _pages(read: Callable[[Cursor | None], Page[T]]) -> Iterator[Page[T]]:
    """A whole list, page by page."""
    page = read(None)
    while True:
        yield page
        if page.next is None:
            return
        page = read(page.next)


# -- quotes that have ended


@require_GET
def ended(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "quotes/lapsed", ("quotes", "customers"), lambda: _ended(request))


def _ended(request: HttpRequest) -> dict[str, Any]:
    viewer = viewer_of(request)
    wanted = _wanted_ended(request)
    page = lapsed.listing(redis.client(), viewer.scope, wanted, cursor=params.cursor(request))
    how = params.choice(request, "how", lapsed.HOWS)
    chips = [web.Chip("Lapsed", web.address(request, how=None), None, how is None)]
    chips += [web.Chip(each.title(), web.address(request, how=each), None, how == each) for each in lapsed.HOWS]
    return {
        "page": page,
        "pager": web.pager(request, page),
        "wanted": wanted,
        "how": how,
        "filtered": bool(wanted.product or wanted.agent or wanted.customer or how),
        "chips": chips,
        "products": keys.PRODUCTS,
        "may_quote": viewer.may("create_quotes"),
        "csv_query": request.GET.urlencode(),
    }


def _wanted_ended(request: HttpRequest) -> lapsed.Filter:
    how = params.choice(request, "how", lapsed.HOWS)
    return lapsed.Filter(
        product=params.choice(request, "product", keys.PRODUCTS),
        agent=params.identifier(request, "agent"),
        customer=params.identifier(request, "customer"),
        **({"hows": (how,)} if how else {}),  # type: ignore[arg-type]
    )


@require_GET
def ended_csv(request: HttpRequest) -> StreamingHttpResponse:
    scope, wanted = viewer_of(request).scope, _wanted_ended(request)

    def rows() -> Iterator[tuple[object, ...]]:
        for page in _pages(lambda cursor: lapsed.listing(redis.client(), scope, wanted, cursor=cursor, size=200)):
            yield from map(_csv_row, page.rows)

    header = (
        "product",
        "number",
        "how",
        "ended",
        "by",
        "policy",
        "customer",
        "subject",
        "premium",
        "premium_monthly",
        "risk",
        "agent",
    )
    return web.csv_answer(f"ended-quotes-{clock.today():%Y-%m-%d}.csv", header, rows())


def _csv_row(row: Ended) -> tuple[object, ...]:
    facts = row.facts
    return (
        row.product, row.number, row.how, row.at, row.by, row.policy, facts.get("customer"), row.subject, row.premium,
        row.premium_monthly, facts.get("risk_level"), facts.get("agent"),
    )  # fmt: skip


# -- the funnel


@require_GET
def funnel_page(request: HttpRequest) -> HttpResponse:
    return web.live_page(request, "quotes/funnel", ("quotes",), lambda: _funnel(request))


def _funnel(request: HttpRequest) -> dict[str, Any]:
    client, today = redis.client(), clock.today()
    on = _day(request.GET.get("day", ""), today)
    cells = funnel.day(client, on, viewer_of(request).scope, agents.directory(client))
    all_of_it = funnel.total(cells)
    return {
        "day": on,
        "today": today,
        "earlier": web.address(request, day=on - timedelta(days=1))
        if on > today - timedelta(days=funnel.KEPT_DAYS)
        else "",
        "later": web.address(request, day=on + timedelta(days=1)) if on < today else "",
        "total": all_of_it,
        "chart": bars(_steps(all_of_it), title=f"Quotes of {on.isoformat()}", description=_words(all_of_it)),
        "tables": [
            Split("Product", funnel.by(cells, lambda cell: cell.product.title())),
            Split("Agent", funnel.by(cells, lambda cell: cell.agent or "No agent")),
            Split("Risk", funnel.by(cells, lambda cell: cell.risk.capitalize() or "Not assessed")),
            Split("Hour", funnel.by(cells, lambda cell: f"{cell.hour:02}:00")),
        ],
    }


@dataclass(frozen=True)
class Split:
    """The funnel by one thing: a row for each of its names, and the same as a picture."""

    title: str
    rows: list[Row]

    @property
    def chart(self) -> SafeString:
        """What was quoted, and how much of it was bound, of those with the most quoted."""
        most = sorted(self.rows, key=lambda row: -row.quoted)[:PICTURED]
        shown = [row for row in self.rows if row in most]
        drawn = [
            Bar(row.name, Decimal(row.quoted), Decimal(row.bound), f"{row.quoted:,}", f"{row.bound:,} bound")
            for row in shown
        ]
        words = "; ".join(f"{row.name}: {_words(row)}" for row in shown)
        return bars(drawn, title=f"Quoted and bound by {self.title.lower()}", description=words)


def _steps(row: Row) -> list[Bar]:
    texts = {
        "quoted": "",
        "extended": "",
        "bound": f" · {row.bound_share}% of quoted" if row.bound_share is not None else "",
        "lapsed": "",
    }
    return [
        Bar(stage.title(), Decimal(count := getattr(row, stage)), None, f"{count:,}{texts[stage]}", "")
        for stage in funnel.STAGES
    ]


def _words(row: Row) -> str:
    return ", ".join(f"{stage} {getattr(row, stage)}" for stage in funnel.STAGES)


def _day(text: str, today: date) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return today
    return max(min(found, today), today - timedelta(days=funnel.KEPT_DAYS))


# -- side by side, and on paper


@require_http_methods(["GET", "POST"])
def compare(request: HttpRequest) -> HttpResponse:
    """Two or three quotes side by side: `?q=auto:Q001&q=auto:Q002`. Those that have ended meanwhile are named. The board
    posts its ticked boxes here, and is sent to the address that can be kept.
    """
    if request.method == "POST":
        chosen = [("q", member) for member, _, _ in keys.numbered(request.POST.getlist("q"))[:COMPARED]]
        return redirect(f"{reverse('quotes_compare')}?{urlencode(chosen)}")
    viewer = viewer_of(request)
    asked = list(dict.fromkeys(keys.numbered(request.GET.getlist("q"))))[:COMPARED]
    found, gone = [], []
    for _, product, number in asked:
        try:
            found.append(quote_for(viewer, product, number))
        except NotFound as error:
            gone.append(str(error))
    shown = {"quotes": found, "gone": gone, "may_bind": viewer.may("bind_policies")}
    return web.form_page(request, "quotes/compare", shown, areas=("quotes",))


@require_GET
def sheet(request: HttpRequest, product: str, number: str) -> HttpResponse:
    """One quote on paper; it says until when it holds, and that it was printed at a moment."""
    quote = quote_for(viewer_of(request), product, number)
    return render(request, "quotes/sheet.html", {"quote": quote, "printed": clock.now(), "until": _until(quote)})


def _until(quote: quotes.Quote) -> object:
    return clock.moment(quote.deadline) if quote.deadline else None


# -- underwriting


@require_http_methods(["GET", "POST"])
@requires("create_quotes")
def underwrite(request: HttpRequest, number: str) -> HttpResponse:
    """The assessment and the medical examination of a life quote, each a form of its own; the button says which."""
    viewer, quote = viewer_of(request), quote_for(viewer_of(request), "life", number)
    doing = request.POST.get("doing")
    assessment = Assessment(request.POST if doing == "assess" else None)
    exam = Exam(request.POST if doing == "schedule" else None)
    form = {"assess": assessment, "schedule": exam}.get(doing or "")
    if form is not None and form.is_valid():
        try:
            if doing == "assess":
                underwriting.assess(number, form.cleaned_data["assessment"], by=viewer.id, token=web.token_of(request))
                messages.success(request, "The assessment is kept.")
            else:
                underwriting.schedule(number, form.cleaned_data["exam"], by=viewer.id, token=web.token_of(request))
                messages.success(request, "The appointment is set.")
            return redirect("quote", "life", number)
        except StoreDown:
            raise
        except Invalid as error:
            refuse(form, error)
        except DomainError as error:
            form.add_error(None, str(error))
    shown = {"quote": quote, "number": number, "assessment": assessment, "exam": exam}
    shown["underwriting"] = underwriting.get(redis.client(), number)
    return web.form_page(request, "quotes/underwriting", shown, areas=("quotes",))
