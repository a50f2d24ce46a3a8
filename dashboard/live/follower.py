"""The live follower: hears what anybody changes in the store, brings the indexes in step, and tells every open page.

Keyspace notifications come at most once and say a key's name only. So they are a hint where to look: what they name is
read again from the truth. What they miss is found by a slow reconciliation; what expires is found by its deadline in
the index, so that the moment does not depend on when the server gets round to deleting it.

Several processes may run one; a lease lets one of them do this work.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping

from redis import Redis
from redis.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, WatchError
from redis.exceptions import ResponseError as RedisResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dashboard import clock, keys
from dashboard import redis as store
from dashboard.errors import Conflict, StoreDown
from dashboard.repository import (
    archive,
    areas,
    audit,
    census,
    chain,
    claims,
    holds,
    jobs,
    metrics,
    places,
    policies,
    policy_service,
    reindex,
    server,
    verification,
)
from dashboard.repository.key_batch import PREFIXES  # noqa: F401 (its bulk work is known where the work is done)

log = logging.getLogger(__name__)

TICK = 0.05
"""Seconds for which changes are gathered: the ten keys of one policy are one event."""
LEASE = 5_000
"""ms after which another process may take over from one that fell silent."""
RENEW = 1.5
RECONCILE = 600.0
"""Seconds between two slow looks at everything."""
RECONCILE_BLIND = 15.0
"""The same where the server sends no notifications."""
PAUSE = 0.02
"""Seconds of rest after each slice of the slow look."""
DUE = 0.2
"""Seconds between two looks for what has come to its end."""
IDLE = 0.3
"""Seconds between two looks for bulk work."""
ASKED = 2.0
"""Seconds between two looks for whether somebody asked for a census, or for the chain to be looked at."""
CLOSE_PERIODS = 30.0
"""Seconds between two looks for periods of the figures that are over and not closed."""
SEAL = 0.5
"""Seconds between two looks for audit records to seal."""
ANCHOR = 600.0
"""Seconds between two anchors of the chain over them."""
KEEP = 30.0
"""Seconds between two looks at what legal holds keep, and at records that have ended: far less than any such lifetime."""
NAMED = 50
"""Things of an area that an event names."""
AT_ONCE = 2_000
"""Notifications taken in before their things are refreshed."""


class Follower:
    """Call `run` in a thread of its own."""

    def __init__(
        self,
        client: Redis,
        anchor: Callable[[chain.Head], None] = lambda head: None,
        anchored: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        """`anchor` keeps the head of the chain over the audit records somewhere else than in the store; `anchored` gives
        what was kept so.
        """
        self._client = client
        self._anchor = anchor
        self._known = anchored
        self._kept = 0.0
        self._verifier: threading.Thread | None = None
        self._sealed = 0.0
        self._anchored = 0.0
        self._me = uuid.uuid4().hex
        self._pending = _Pending()
        self._day = clock.today()
        self._looked = clock.now_ms()
        self._renewed = 0.0
        self._reconciler: threading.Thread | None = None
        self._reconciled = 0.0
        self._reconciling = 0.0
        self._closed = 0.0
        self._planned = 0.0
        self._since = clock.now_ms()
        self._sampled = 0.0
        self._sent: int | None = None
        self._echoed = False
        self._lag: int | None = None
        self._worker: threading.Thread | None = None
        self._counter: threading.Thread | None = None
        self.notified = False

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; a store that goes away is waited for."""
        while not stop.is_set():
            try:
                if self._hold_lease():
                    self._follow(stop)
                else:
                    stop.wait(1)
            except (RedisError, StoreDown) as error:
                log.info("The live follower waits for the store: %s", type(error).__name__)
                self._renewed = 0.0
                stop.wait(0.5)
        self._let_go()

    def _follow(self, stop: threading.Event) -> None:
        self.notified = store.enable_notifications(self._client)
        if not self.notified:
            log.warning("The store sends no keyspace notifications: what other tools change shows after %s s or more.",
                        int(RECONCILE_BLIND))  # fmt: skip
        self._reconciled = 0.0
        with self._client.pubsub(ignore_subscribe_messages=True) as heard:
            database = self._client.connection_pool.connection_kwargs.get("db") or 0
            heard.psubscribe(*(f"__keyspace@{database}__:{prefix}:*" for prefix in keys.FOLLOWED_PREFIXES))
            heard.subscribe(f"__keyspace@{database}__:{keys.follower_status()}")
            self._since = clock.now_ms()
            while not stop.is_set() and self._hold_lease():
                self._listen(heard)
                self._find_due()
                self._turn_the_day()
                self._close_periods()
                self._carry_out_plans()
                self._flush()
                self._tell_lag()
                self._sample()
                self._seal_records()
                self._reconcile_now_and_then(stop)
                self._keep_records()
                self._see_to_jobs(stop)
                self._see_to_census(stop)
                self._see_to_the_chain(stop)

    def _listen(self, heard: PubSub) -> None:
        """Gather notifications for a tick, longer only while many keep coming."""
        until = time.monotonic() + TICK
        for _ in range(AT_ONCE):
            left = until - time.monotonic()
            message = heard.get_message(timeout=max(left, 0.0))
            if message is not None:
                name = message["channel"].partition("__:")[2]
                self._echoed = self._echoed or name == keys.follower_status()
                self._pending.add(name)
            elif left <= 0:
                return

    def _find_due(self) -> None:
        """Things whose deadline has passed, and areas where one has come near enough to be marked. One round trip."""
        now, before = clock.now_ms(), self._looked
        if now - before < DUE * clock.SECOND:
            return
        self._looked = now
        due = [name for name, area in areas.AREAS.items() if "deadline" in area.index.sorts]
        pipe = self._client.pipeline(transaction=False)
        for name in due:
            pipe.zrange(areas.AREAS[name].index.key("all", "deadline"), 0, now, byscore=True, offset=0, num=500)
        marked = [(name, mark) for name in due for mark in areas.AREAS[name].marks]
        for name, mark in marked:
            pipe.zcount(areas.AREAS[name].index.key("all", "deadline"), before + mark + 1, now + mark)
        answers = pipe.execute()
        for name, members in zip(due, answers, strict=False):
            self._pending.things[name].update(members)
        self._pending.touched |= {name for (name, _), passed in zip(marked, answers[len(due) :], strict=True) if passed}

    def _turn_the_day(self) -> None:
        """At midnight every status that dates make, and every figure of the day, is another."""
        if clock.today() != self._day:
            self._day = clock.today()
            for area in ("policies", "metrics", "quotes", "claims"):
                self._pending.touched.add(area)

    def _close_periods(self) -> None:
        """Freeze the figures of days, weeks, months and quarters that are over, soon after their end and at start.
        Two round trips; a supervisor who closes one at the same moment is the same as none.
        """
        if self._closed and time.monotonic() - self._closed < CLOSE_PERIODS:
            return
        self._closed = time.monotonic()
        for period in archive.close_due(self._client):
            log.info("Closed the figures of %s.", period.name)

    def _carry_out_plans(self) -> None:
        """Do what was planned for today soon after its beginning. One round trip where there is nothing."""
        if self._planned and time.monotonic() - self._planned < CLOSE_PERIODS:
            return
        self._planned = time.monotonic()
        done = policy_service.carry_out(self._client)
        if done:
            log.info("Looked at %s services that were planned for today.", done)

    def _seal_records(self) -> None:
        """Seal the audit records that were written meanwhile. One round trip where there are none."""
        now = time.monotonic()
        if now - self._sealed < SEAL:
            return
        try:
            sealed = chain.seal(self._client)
            if sealed < chain.SLICE:
                self._sealed = now  # else there are more
            if now - self._anchored >= ANCHOR or not self._anchored:
                self._anchored = now
                self._anchor(chain.head(self._client))
        except (Conflict, RedisResponseError):
            self._sealed = now + RECONCILE_BLIND
            log.exception("The audit records cannot be sealed: run manage.py verify_audit.")

    def _tell_lag(self) -> None:
        """How long it took from the latest sample's writing until its own notification, and all that was heard before
        it, had been dealt with: what any change by another tool waits for.
        """
        if self._echoed and self._sent is not None:
            self._lag = max(clock.now_ms() - self._sent, 0)
            self._sent = None
        self._echoed = False

    def _sample(self) -> None:
        """The server's state every few seconds, and that this process is at work. Two round trips."""
        if self._sampled and time.monotonic() - self._sampled < server.EVERY / 1000:
            return
        self._sampled = time.monotonic()
        lag = self._lag if self._sent is None else clock.now_ms() - self._sent  # not heard of yet: at least so long
        try:
            self._sent = server.take(
                self._client,
                holder=self._me,
                since=self._since,
                lag=lag if self.notified else None,
                notified=self.notified,
            )
        except RedisResponseError:
            self._sent = None  # it takes no writes just now: pages are told of changes all the same

    def _keep_records(self) -> None:
        """See to what is held, and take out of the lists what has ended."""
        if self._kept and time.monotonic() - self._kept < KEEP:
            return
        self._kept = time.monotonic()
        try:
            holds.enforce(self._client)
            audit.oldest(self._client)
        except (Conflict, RedisResponseError):
            log.exception("What legal holds keep could not be looked at.")

    def _flush(self) -> None:
        """Index first, tell then: whoever asks because they were told finds it there."""
        pending, self._pending = self._pending, _Pending()
        if not pending:
            return
        try:
            self._bring_in_step(pending)
        except (RedisConnectionError, RedisTimeoutError):
            self._pending = pending  # said again once the store is back
            raise
        except Exception:
            # Whatever others wrote, it must not keep pages from being told; the slow look comes back to it.
            log.exception("Something could not be brought in step.")
        # Streams look for their reader's own session among these, so all of those are named.
        message: dict[str, list[str]] = {area: [] for area in pending.touched}
        message |= {a: sorted(ids)[: None if a == "sessions" else NAMED] for a, ids in pending.things.items() if ids}
        self._client.publish(keys.LIVE_CHANNEL, json.dumps(message))

    def _bring_in_step(self, pending: _Pending) -> None:
        for customer in pending.moved:
            pending.things["policies"].update(policies.of_customer(self._client, customer))
        stood = policies.zips(self._client, sorted(pending.things["policies"]))
        for name, members in pending.things.items():
            if members and name in areas.AREAS:
                areas.refresh(self._client, name, sorted(members))
        self._compare_relations(pending, stood)
        if pending.served:
            members = claims.of_policies(self._client, sorted(pending.served))
            areas.refresh(self._client, "claims", members)
            pending.things["claims"].update(members)
        for key, parsed in pending.records.items():
            audit.note(self._client, key, parsed)
        if pending.figures:
            metrics.note_agents(self._client, pending.figures)

    def _compare_relations(self, pending: _Pending, stood: Mapping[str, str]) -> None:
        """A policy's premium, owner or address may contradict its customer's and its ZIP area's lists by now, or agree
        with them again: told by the policies' own fields, whichever of the two was written. `stood`: in which ZIP area the
        index had each until now, for the lists of those that it has left.
        """
        members = sorted(pending.things["policies"])
        if not members:
            return
        areas.compare(self._client, members)
        now = policies.zips(self._client, members)
        left = places.of_zips(self._client, [at for member, at in stood.items() if at != now.get(member)])
        areas.refresh(self._client, "places", sorted({*left, *places.of_policies(self._client, members)}))

    def _reconcile_now_and_then(self, stop: threading.Event) -> None:
        # The larger the store, the longer a look takes, and the rarer it is: never more than a quarter of the time.
        every = max(RECONCILE, 3 * self._reconciling) if self.notified else RECONCILE_BLIND
        running = self._reconciler and self._reconciler.is_alive()
        if running or (self._reconciled and time.monotonic() - self._reconciled < every):
            return
        self._reconciled = time.monotonic()
        self._reconciler = threading.Thread(target=self._reconcile, args=(stop,), name="reconcile", daemon=True)
        self._reconciler.start()

    def _reconcile(self, stop: threading.Event) -> None:
        begun = time.monotonic()
        try:
            found = reindex.reconcile(self._client, pause=PAUSE, stop=stop.is_set)
            self._reconciling = time.monotonic() - begun
            if found.written or found.removed:
                everything = {area: [] for area in areas.AREAS}
                self._client.publish(keys.LIVE_CHANNEL, json.dumps(everything))
        except RedisError:
            self._reconciled = 0.0  # the store went away: look again once it is back

    def _see_to_jobs(self, stop: threading.Event) -> None:
        """Bulk work has a thread of its own, so that a slice of it never holds up what is heard."""
        if not (self._worker and self._worker.is_alive()):
            self._worker = threading.Thread(target=self._work, args=(stop,), name="jobs", daemon=True)
            self._worker.start()

    def _work(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set() and self._holding():
                if not jobs.work_once(self._client):
                    stop.wait(IDLE)
        except (RedisError, StoreDown) as error:
            log.info("Bulk work waits for the store: %s", type(error).__name__)
            stop.wait(RENEW)

    def _see_to_the_chain(self, stop: threading.Event) -> None:
        """Looking at the whole chain takes as long as it takes; it has a thread of its own, too."""
        if not (self._verifier and self._verifier.is_alive()):
            self._verifier = threading.Thread(target=self._verify, args=(stop,), name="verify", daemon=True)
            self._verifier.start()

    def _verify(self, stop: threading.Event) -> None:
        def holding() -> bool:
            return self._holding() and not stop.is_set()

        try:
            while holding():
                looked = verification.run_if_asked(
                    self._client, anchors=self._known, anchor=self._anchor, holding=holding
                )  # fmt: skip
                if looked is None:
                    stop.wait(ASKED)
        except (RedisError, StoreDown, Conflict) as error:
            log.warning("The chain could not be looked at: %s", type(error).__name__)
            stop.wait(RENEW)

    def _see_to_census(self, stop: threading.Event) -> None:
        """Counting all keys has a thread of its own, too: it takes minutes where there are millions."""
        if not (self._counter and self._counter.is_alive()):
            self._counter = threading.Thread(target=self._count, args=(stop,), name="census", daemon=True)
            self._counter.start()

    def _count(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set() and self._holding():
                if census.is_due(self._client):
                    census.take(self._client, stop=lambda: stop.is_set() or not self._holding())
                stop.wait(ASKED)
        except RedisError as error:
            log.info("The census waits for the store: %s", type(error).__name__)
            stop.wait(RENEW)

    # -- the lease

    def _holding(self) -> bool:
        """Whether the lease was ours just now, without asking the store."""
        return time.monotonic() - self._renewed < LEASE / 1000

    def _hold_lease(self) -> bool:
        """Take or keep the lease; asked of the store every RENEW seconds. The WATCH keeps one that another process
        took from being lengthened by us.
        """
        if time.monotonic() - self._renewed < RENEW:
            return True
        name = keys.lease("follower")
        if self._client.set(name, self._me, nx=True, px=LEASE):
            self._renewed = time.monotonic()
            return True
        with self._client.pipeline() as pipe:
            pipe.watch(name)
            if pipe.get(name) != self._me:
                return False
            pipe.multi()
            pipe.pexpire(name, LEASE)
            try:
                pipe.execute()
            except WatchError:
                return False
        self._renewed = time.monotonic()
        return True

    def _let_go(self) -> None:
        try:
            if self._client.get(keys.lease("follower")) == self._me:
                self._client.delete(keys.lease("follower"))
        except RedisError:
            log.info("The store was gone before the lease could be given back.")


class _Pending:
    """What was heard of and not yet dealt with."""

    def __init__(self) -> None:
        self.things: dict[str, set[str]] = defaultdict(set)
        self.touched: set[str] = set()
        self.moved: set[str] = set()
        self.served: set[str] = set()
        self.records: dict[str, keys.Parsed] = {}
        self.figures: list[keys.Parsed] = []

    def __bool__(self) -> bool:
        return bool(self.touched or self.records or any(self.things.values()))

    def add(self, key: str) -> None:
        parsed = keys.parse(key)
        if parsed is None or not parsed.family.area:
            return
        area = parsed.family.area
        self.touched.add(area)
        if parsed.family in audit.FAMILIES:
            self.records[key] = parsed
        if parsed.subject and "stamp" not in parsed.parts:
            self.things[area].add(parsed.subject)
        if parsed.family is keys.customer_field and parsed.parts["field"] == "address":
            self.moved.add(parsed.parts["customer"])
        if parsed.family is keys.policy or (
            parsed.family is keys.policy_field and parsed.parts["field"] in ("agent", "customer")
        ):
            self.served.add(parsed.subject or "")  # its claims are where its agent is
        if parsed.family in keys.AGENT_METRICS:
            self.figures.append(parsed)
