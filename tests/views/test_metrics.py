"""Metrics by period, closing, trends: who sees whose, missing shown as missing, ratios of other tools as they are."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
import time_machine
from django.test import Client
from redis import Redis

from dashboard import clock, keys
from dashboard.repository import agents, archive, metrics, periods
from dashboard.repository.metrics import COMPANY
from dashboard.repository.periods import Kind, Period
from dashboard.repository.store import change
from dashboard.views import metric_words
from tests import book

HTMX = {"HX-Request": "true"}


def shown(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def tile(page: str, name: str) -> str:
    return page.partition(f'id="tile-{name}"')[2].partition('class="tile"')[0]


def row(page: str, name: str) -> str:
    return page.partition(f'id="m-{name}"')[2].partition("</tr>")[0]


def row_of_trend(page: str, period: Period) -> str:
    return page.partition(f'id="p-{period.name}"')[2].partition("</tr>")[0]


def add(amounts: dict[str, Decimal | int], *, agent: str = "AG001", product: str = "auto") -> None:
    change(lambda draft: metrics.add(draft, amounts, product=product, agent=agent))  # type: ignore[arg-type]


def write(store: Redis, period: Period, owner: str = COMPANY, **figures: str) -> None:
    """As another tool does."""
    for metric, value in figures.items():
        store.set(metrics.names_of(period, owner)[metric], value, ex=86_400)
    if owner.startswith("agent="):
        store.sadd(keys.metric_agents(period.name), owner.partition("=")[2])


def last(kind: Kind = "weekly") -> Period:
    return periods.current(kind).before


def lines(client: Client, path: str) -> list[dict[str, str]]:
    text = b"".join(client.get(path).streaming_content).decode()
    return list(csv.DictReader(text.splitlines()))


class TestPeriods:
    def test_a_running_period_says_so_far_and_gives_no_difference(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        write(store, last(), policies_sold="81")
        add({"policies_sold": 89})
        page = shown(supervisor_client, "/metrics/?period=week")
        assert "so far" in page
        sold = tile(page, "policies_sold")
        assert ">89<" in sold and "81 in all of" in sold and "▲" not in sold

    def test_a_period_that_is_over_is_compared(self, supervisor_client: Client, store: Redis) -> None:
        write(store, last(), policies_sold="89", claims_filed="3")
        write(store, last().before, policies_sold="81", claims_filed="5")
        page = shown(supervisor_client, f"/metrics/?of={last().name}")
        assert "so far" not in page
        assert "▲ 8" in tile(page, "policies_sold") and "good" in tile(page, "policies_sold")
        assert "▼ 2" in tile(page, "claims_filed") and "good" not in tile(page, "claims_filed")

    def test_trap_27_missing_is_missing_and_not_zero(self, supervisor_client: Client, store: Redis) -> None:
        write(store, periods.current("monthly"), policies_sold="0")
        page = shown(supervisor_client, "/metrics/?period=month")
        assert '<span class="value">0</span>' in tile(page, "policies_sold")
        for name in set(metric_words.TERMS) - {"policies_sold"}:
            assert '<span class="value">–</span>' in tile(page, name) and "none recorded" in tile(page, name)

    def test_every_figure_has_its_definition_and_its_unit_at_hand(self, supervisor_client: Client) -> None:
        page = shown(supervisor_client, "/metrics/")
        for term in metric_words.TERMS.values():
            assert f'popovertarget="def-tile-{term.name}"' in page
            hint = page.partition(f'id="def-tile-{term.name}"')[2].partition("</span></span>")[0]
            assert term.definition in hint and f"In {term.unit}." in hint

    def test_the_documents_own_figures_show_as_other_tools_write_them(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        """Lines 224 to 256, with today's periods."""
        week, month, quarter = (periods.current(kind).name for kind in ("weekly", "monthly", "quarterly"))
        store.set(f"metrics:weekly:{week}:policies_sold", "89", ex=604_800)
        store.set(f"metrics:weekly:{week}:revenue", "167300", ex=604_800)
        store.set(f"metrics:weekly:{week}:customer_acquisition", "23", ex=604_800)
        store.set(f"metrics:monthly:{month}:claims_ratio", "0.15", ex=2_592_000)
        store.set(f"metrics:quarterly:{quarter}:growth_rate", "12.5", ex=7_776_000)
        store.set(f"metrics:quarterly:{quarter}:customer_retention", "94.2", ex=7_776_000)
        page = shown(supervisor_client, "/metrics/?period=week")
        assert [">89<" in page, "$167,300" in page, ">23<" in page] == [True] * 3
        assert ">0.15<" in tile(shown(supervisor_client, "/metrics/?period=month"), "claims_ratio")
        page = shown(supervisor_client, "/metrics/?period=quarter")
        assert ">12.5%<" in tile(page, "growth_rate") and ">94.2%<" in tile(page, "customer_retention")

    def test_another_tools_ratio_is_marked_where_its_parts_give_another(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        add({"revenue": Decimal(1000), "claims_approved": Decimal(170)})
        assert "another tool" not in shown(supervisor_client, "/metrics/?period=month")
        write(store, periods.current("monthly"), claims_ratio="0.15")
        ratio = tile(shown(supervisor_client, "/metrics/?period=month"), "claims_ratio")
        assert ">0.15<" in ratio and "Stored by another tool; its parts give 0.17" in ratio

    def test_a_broken_figure_says_so_where_it_would_stand(self, supervisor_client: Client, store: Redis) -> None:
        write(store, periods.current("weekly"), revenue="lots", policies_sold="3")
        page = shown(supervisor_client, "/metrics/?period=week")
        assert "It is not an amount: lots" in tile(page, "revenue")
        assert "not an amount" not in tile(page, "policies_sold")

    @pytest.mark.parametrize("junk", ["lots", "", "\x00", "9" * 400, "NaN", "-1", "1e400"])
    def test_no_value_breaks_the_page(self, supervisor_client: Client, store: Redis, junk: str) -> None:
        for kind in periods.KINDS:
            write(store, periods.current(kind), **dict.fromkeys(metrics.METRICS, junk))
            write(store, periods.current(kind), "agent=AG007", policies_sold=junk)
            store.set(keys.metric_parts(periods.current(kind).name), junk)
            store.set(keys.archive(last(kind).name), junk)
            store.delete(keys.metric_parts(last(kind).before.name))
            store.hset(keys.metric_parts(last(kind).before.name), "agent=AG001:closing_hours", junk)
            for word in (metric_words.WORD_OF[kind],):
                shown(supervisor_client, f"/metrics/?period={word}")
                shown(supervisor_client, f"/metrics/trends/?period={word}")

    @pytest.mark.parametrize(
        "query", ["of=2026-W99", "of=9999-12-31", "of=0001-01", "of=%00", "period=year", "period=week&of=x", "metric=x"]
    )
    def test_absurd_addresses_give_the_present(self, supervisor_client: Client, query: str) -> None:
        assert "so far" in shown(supervisor_client, f"/metrics/?{query}")

    def test_a_future_period_is_the_present_one(self, supervisor_client: Client) -> None:
        after = periods.current("weekly").after.name
        assert "so far" in shown(supervisor_client, f"/metrics/?period=week&of={after}")

    @pytest.mark.parametrize(
        ("of", "title", "back", "forward"),
        [
            ("2026-W53", "Week 53, 28 Dec – 3 Jan 2027", "2026-W52", "2027-W01"),
            ("2027-W01", "Week 1, 4 – 10 Jan 2027", "2026-W53", "2027-W02"),
            ("2026-12", "December 2026", "2026-11", "2027-01"),
            ("2027-Q1", "Q1 2027, Jan – Mar", "2026-Q4", "2027-Q2"),
            ("2026-12-31", "Thursday, 31 Dec 2026", "2026-12-30", "2027-01-01"),
        ],
    )
    def test_back_and_forward_in_time_are_in_the_address(
        self, demo: None, of: str, title: str, back: str, forward: str
    ) -> None:
        from tests import cast

        with time_machine.travel("2028-03-01T15:00:00Z"):
            page = shown(cast.signed_in(cast.SUPERVISOR), f"/metrics/?of={of}")
        assert title in page
        links = page.partition('aria-label="Other periods"')[2].partition("</nav>")[0]
        assert f"of={back}" in links and f"of={forward}" in links and 'rel="prev"' in links

    def test_another_length_keeps_the_time(self, supervisor_client: Client) -> None:
        page = shown(supervisor_client, "/metrics/?of=2025-W53")
        assert "so far" in page, "2025 had 52 weeks"
        page = shown(supervisor_client, "/metrics/?of=2025-W52")
        switch = page.partition('aria-label="Length of the period"')[2].partition("</nav>")[0]
        for of in ("2025-12-22", "2025-12", "2025-Q4"):
            assert f'of={of}"' in switch

    def test_an_agent_reads_their_own_alone(self, second_agent_client: Client, store: Redis) -> None:
        add({"policies_sold": 77, "revenue": Decimal(4321)})
        add({"policies_sold": 3}, agent="AG002")
        for word in metric_words.WORDS:
            page = shown(second_agent_client, f"/metrics/?period={word}")
            assert ">3<" in tile(page, "policies_sold")
            assert "AG001" not in page and "77" not in tile(page, "policies_sold") and "Leader board" not in page
            assert {line["name"] for line in lines(second_agent_client, f"/metrics/csv/?period={word}")} == {"AG002"}

    def test_leaders_share_a_rank_and_those_without_a_figure_have_none(self, supervisor_client: Client) -> None:
        add({"policies_sold": 5}, agent="AG002")
        add({"policies_sold": 5}, agent="AG003")
        page = shown(supervisor_client, "/metrics/?period=week&metric=policies_sold")
        board = page.partition("Leader board")[2].partition("</table>")[0]
        ranks = {
            name: board.partition(f'id="lead-{name}"')[2].partition("</td>")[0][-1]
            for name in ("AG001", "AG002", "AG003")
        }
        assert ranks == {"AG001": "–", "AG002": "1", "AG003": "1"}

    @pytest.mark.parametrize("metric", list(metric_words.TERMS))
    def test_any_figure_can_be_compared(self, supervisor_client: Client, metric: str) -> None:
        add({"policies_sold": 5, "quotes_generated": 10})
        assert "<svg" in shown(supervisor_client, f"/metrics/?metric={metric}")

    def test_the_regions_alone_are_live(self, supervisor_client: Client) -> None:
        page = supervisor_client.get("/metrics/?period=week", headers=HTMX).content.decode()
        assert 'id="tiles"' in page and "<html" not in page


class TestCost:
    """What the page asks of the store does not grow with its rows."""

    @staticmethod
    def commands(store: Redis, client: Client, path: str) -> int:
        client.get(path)
        store.config_resetstat()
        shown(client, path)
        ran = store.info("commandstats")
        return sum(each["calls"] for name, each in ran.items() if "config" not in name)

    @pytest.mark.parametrize("word", list(metric_words.WORDS))
    def test_two_hundred_agents_cost_no_more_commands_than_two(
        self, supervisor_client: Client, store: Redis, word: str
    ) -> None:
        costs = []
        for count in (2, 200):
            names = [f"AG{number:03}" for number in range(1, count + 1)]
            agents.save(store, dict.fromkeys(names, "dallas"))
            for name in names[:: max(count // 20, 1)]:
                add({"policies_sold": 1, "policies_renewed": 1}, agent=name)
            costs.append(self.commands(store, supervisor_client, f"/metrics/?period={word}"))
        print(f"{word}: {costs}")
        assert costs[1] <= costs[0] <= 40

    def test_a_figure_of_another_type_is_found_among_many_and_shown(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        names = [f"AG{number:03}" for number in range(1, 201)]
        agents.save(store, dict.fromkeys(names, "dallas"))
        store.rpush(metrics.names_of(periods.current("weekly"), "agent=AG150")["revenue"], "a list")
        store.sadd(metrics.names_of(periods.current("weekly"), COMPANY)["claims_filed"], "a set")
        assert self.commands(store, supervisor_client, "/metrics/?period=week") <= 200
        page = shown(supervisor_client, "/metrics/?period=week&metric=revenue")
        assert "It holds a set, not a text" in tile(page, "claims_filed")
        listed = lines(supervisor_client, "/metrics/csv/?period=week")
        assert {line["name"] for line in listed} >= set(names)
        found = metrics.statement(store, periods.current("weekly"), agents=names).agents["AG150"]
        assert [problem.what for problem in found.problems] == ["holds a list, not a text"]


class TestClosing:
    def test_a_supervisor_closes_a_period_once(self, supervisor_client: Client, store: Redis) -> None:
        write(store, last(), policies_sold="89")
        assert "Close the period" in shown(supervisor_client, f"/metrics/?of={last().name}")
        for words in ("is closed", "was closed before"):
            answer = supervisor_client.post(f"/metrics/{last().name}/close/", {"token": words}, follow=True)
            assert words in answer.content.decode()
        page = shown(supervisor_client, f"/metrics/?of={last().name}")
        assert "by SUP001" in page and "Close the period" not in page

    def test_the_same_form_sent_twice_closes_once(self, supervisor_client: Client, store: Redis) -> None:
        write(store, last(), policies_sold="89")
        for _ in range(2):
            answer = supervisor_client.post(f"/metrics/{last().name}/close/", {"token": "one"}, follow=True)
            assert "is closed" in answer.content.decode()

    def test_what_comes_late_is_told_and_changes_nothing(self, supervisor_client: Client, store: Redis) -> None:
        write(store, last(), policies_sold="89")
        archive.close(last(), by="SUP001")
        write(store, last(), policies_sold="95")
        sold = tile(shown(supervisor_client, f"/metrics/?of={last().name}"), "policies_sold")
        assert ">89<" in sold and "95 written since it was closed" in sold

    def test_a_running_period_cannot_be_closed(self, supervisor_client: Client) -> None:
        add({"policies_sold": 1})
        span = periods.current("daily").name
        assert "Close the period" not in shown(supervisor_client, "/metrics/")
        answer = supervisor_client.post(f"/metrics/{span}/close/", {"token": "x"}, follow=True)
        assert "not over yet" in answer.content.decode()

    def test_others_may_not(self, agent_client: Client, admin_client: Client, store: Redis) -> None:
        write(store, last(), policies_sold="89")
        for client in (agent_client, admin_client):
            assert "Close the period" not in shown(client, f"/metrics/?of={last().name}")
            assert client.post(f"/metrics/{last().name}/close/", {"token": "x"}).status_code == 403
        assert not store.exists(keys.archive(last().name))

    def test_it_is_no_get_and_takes_a_period(self, supervisor_client: Client, anonymous_client: Client) -> None:
        assert supervisor_client.get(f"/metrics/{last().name}/close/").status_code == 405
        assert supervisor_client.post("/metrics/2025-W53/close/", {"token": "x"}).status_code == 404
        assert anonymous_client.post(f"/metrics/{last().name}/close/").status_code in (302, 403)


def test_trap_27_the_time_shown_is_that_of_the_figure_that_ends_first(supervisor_client: Client, store: Redis) -> None:
    page = "/metrics/?period=quarter"
    assert "ends in" not in shown(supervisor_client, page) and "end in" not in shown(supervisor_client, page)
    book.quote()
    assert "Figures end in" in shown(supervisor_client, page)
    store.set(
        keys.METRIC_FAMILIES["quarterly"]["company"](periods.current("quarterly").name, "growth_rate"), "12.5", ex=60
    )
    found = shown(supervisor_client, page)
    assert "The first figure ends in" in found and "before its period is over" in found


class TestTrends:
    def close(self, store: Redis, *, weeks: int = 6) -> list[Period]:
        closed = []
        for back in range(weeks, 0, -1):
            period = periods.latest("weekly", weeks)[weeks - back]
            write(store, period, policies_sold=str(back), revenue=f"{back}000")
            for agent, sold in (("AG001", back), ("AG002", back + 1)):
                write(store, period, f"agent={agent}", policies_sold=str(sold))
            archive.close(period, by="SUP001")
            closed.append(period)
        return closed

    def test_closed_periods_are_drawn_with_table_and_file(self, supervisor_client: Client, store: Redis) -> None:
        closed = self.close(store)
        page = shown(supervisor_client, "/metrics/trends/?period=week&metric=policies_sold")
        assert "6 closed weeks" in page
        assert page.count('class="plot"') == 1 + 3 + 2
        assert all(f'id="p-{period.name}"' in page for period in closed)
        found = lines(supervisor_client, "/metrics/trends/csv/?period=week")
        assert [line["policies_sold"] for line in found if line["group"] == "Company"] == ["6", "5", "4", "3", "2", "1"]
        assert [line["growth_rate"] for line in found if line["group"] == "Company"][:2] == ["", "-16.7"]
        assert {line["name"] for line in found if line["group"] == "Agent"} == {"AG001", "AG002"}

    def growth(self, client: Client, name: str = "Company") -> list[str]:
        found = lines(client, "/metrics/trends/csv/?period=week")
        return [line["growth_rate"] for line in found if line["name"] == name]

    def test_the_oldest_periods_growth_is_told_from_the_one_before_in_the_archive(
        self, supervisor_client: Client, store: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = self.close(store)
        for period in closed:
            store.delete(*metrics.names_of(period, COMPANY).values())
        monkeypatch.setitem(archive.SHOWN, "weekly", 4)
        page = shown(supervisor_client, "/metrics/trends/?period=week&metric=growth_rate")
        assert "4 closed weeks" in page and f'id="p-{closed[1].name}"' not in page
        assert "−20%" in row_of_trend(page, closed[2])
        assert self.growth(supervisor_client) == ["-20.0", "-25.0", "-33.3", "-50.0"]

    def test_the_oldest_periods_growth_is_told_from_figures_that_still_stand(
        self, supervisor_client: Client, agent_client: Client, store: Redis
    ) -> None:
        for owner in (COMPANY, "agent=AG001"):
            write(store, last(), owner, revenue="900", policies_sold="3")
            write(store, last().before, owner, revenue="800")
        archive.close(last(), by="SUP001")
        page = shown(supervisor_client, "/metrics/trends/?period=week&metric=growth_rate")
        assert row_of_trend(page, last()).count("12.5%") == 2, "the company and the agent"
        assert self.growth(supervisor_client) == self.growth(supervisor_client, "AG001") == ["12.5"]
        assert "12.5%" in shown(agent_client, "/metrics/trends/?period=week&metric=growth_rate")
        assert self.growth(agent_client, "AG001") == ["12.5"]

    def test_the_oldest_periods_growth_is_missing_where_nothing_is_known_of_the_one_before(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        write(store, last(), revenue="900")
        archive.close(last(), by="SUP001")
        page = shown(supervisor_client, "/metrics/trends/?period=week&metric=growth_rate")
        assert "none recorded" in row_of_trend(page, last())
        assert self.growth(supervisor_client) == [""]

    def test_trends_outlive_the_figures_themselves(self, supervisor_client: Client, store: Redis) -> None:
        """Trap 27."""
        self.close(store)
        store.delete(*store.keys("metrics:*"))
        assert "6 closed weeks" in shown(supervisor_client, "/metrics/trends/?period=week")

    @pytest.mark.parametrize("metric", list(metric_words.TERMS))
    @pytest.mark.parametrize("word", list(metric_words.WORDS))
    def test_any_figure_of_any_length(self, supervisor_client: Client, store: Redis, metric: str, word: str) -> None:
        write(store, last(metric_words.WORDS[word]), policies_sold="3", quotes_generated="9", revenue="100")
        archive.close_due(store)
        assert "<svg" in shown(supervisor_client, f"/metrics/trends/?period={word}&metric={metric}")

    def test_an_agent_sees_their_own_course_alone(self, second_agent_client: Client, store: Redis) -> None:
        self.close(store)
        page = shown(second_agent_client, "/metrics/trends/?period=week&metric=policies_sold")
        assert page.count('class="plot"') == 1 and "AG001" not in page and "Company" not in page
        found = lines(second_agent_client, "/metrics/trends/csv/?period=week")
        assert [line["policies_sold"] for line in found] == ["7", "6", "5", "4", "3", "2"]
        assert {line["name"] for line in found} == {"AG002"}

    def test_nothing_closed_is_said(self, supervisor_client: Client) -> None:
        for path in ("/metrics/trends/", "/metrics/trends/?period=day&metric=nonsense"):
            assert "Nothing to draw yet" in shown(supervisor_client, path)
        assert lines(supervisor_client, "/metrics/trends/csv/") == []

    def test_names_that_a_spreadsheet_would_run_are_text(self, supervisor_client: Client, store: Redis) -> None:
        write(store, last(), "agent==HYPERLINK(1)", policies_sold="3")
        archive.close(last(), by="SUP001")
        found = lines(supervisor_client, "/metrics/trends/csv/?period=week")
        assert {line["name"] for line in found} >= {"'=HYPERLINK(1)"}
        shown(supervisor_client, "/metrics/trends/?period=week")

    def test_the_archive_is_read_in_as_many_commands_for_many_agents_as_for_few(
        self, supervisor_client: Client, store: Redis
    ) -> None:
        def cost() -> int:
            before = store.info("stats")["total_commands_processed"]
            shown(supervisor_client, "/metrics/trends/?period=week")
            return store.info("stats")["total_commands_processed"] - before

        self.close(store)
        cost()
        few = cost()
        row = metrics.Figures(policies_sold=Decimal(3)).as_json()
        store.hset(keys.archive(last().name), mapping={f"agent=AG{number:04}": row for number in range(500)})
        assert cost() <= few


@pytest.mark.parametrize("name", ["2026-W47", "2026-11-22", "2026-11", "2026-Q4"])
def test_periods_have_titles_and_short_names(name: str) -> None:
    period = periods.named(name)
    assert period
    assert (metric_words.title(period), metric_words.short(period)) == {
        "2026-W47": ("Week 47, 16 – 22 Nov 2026", "W47"),
        "2026-11-22": ("Sunday, 22 Nov 2026", "22 Nov"),
        "2026-11": ("November 2026", "Nov 26"),
        "2026-Q4": ("Q4 2026, Oct – Dec", "Q4 26"),
    }[name]


def test_the_clock_is_the_businesss(settings: object) -> None:
    """At 23:30 in Chicago it is tomorrow in UTC, and still today here."""
    with time_machine.travel("2026-11-23T05:30:00Z"):
        assert periods.current("daily").name == "2026-11-22" and periods.current("weekly").name == "2026-W47"
        assert clock.today().isoformat() == "2026-11-22"
