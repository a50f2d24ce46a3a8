"""The store is killed, again and again, while people bind quotes and approve claims: what they were told was done is
done, and nothing is half done.

A kill alone cannot tell a server that writes to the disk before it answers from one that writes a little later, for the
kernel survives it. So one run watches the server's system calls: fdatasync comes before the answer.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from dashboard import clock, keys, redis
from dashboard.errors import DomainError, StoreDown
from dashboard.redis import EmbeddedServer
from dashboard.repository import agents, audit, claim_steps, claims, policies, quotes
from dashboard.repository.values import comma_list
from tests import book

pytestmark = pytest.mark.fault

kills = pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.long)])


@pytest.fixture
def durable(tmp_path: Path, settings: Any) -> Iterator[EmbeddedServer]:
    """A server with the settings of the real one, and the process's client pointed at it."""
    server = EmbeddedServer(tmp_path)
    settings.REDIS_URL = server.url
    server.start()
    agents.save(redis.client(), {"AG001": "dallas"})
    yield server
    server.stop()


Step = Callable[[], str]


class Worker(threading.Thread):
    """Does one thing after the other until it is told to stop. `done`: what it was told was done; `unsure`: the steps of
    which it never heard whether they were.
    """

    def __init__(self, prepare: Callable[[str], Step], stop: threading.Event, name: str) -> None:
        super().__init__(daemon=True)
        self._prepare, self._stop_it, self._name = prepare, stop, name
        self.done: list[str] = []
        self.unsure: list[Step] = []
        self.refused: list[Exception] = []

    def run(self) -> None:
        number = 0
        while not self._stop_it.is_set():
            number += 1
            step: Step | None = None
            try:
                step = self._prepare(f"{self._name}{number}".ljust(40, "x"))
                self.done.append(step())
            except (StoreDown, redis.RedisError, OSError):
                self.unsure += [step] if step else []
                time.sleep(0.02)
            except DomainError as error:
                self.refused.append(error)


def bind(token: str) -> Step:
    """A quote, and the step that makes it a policy, which gives `quote>policy`."""
    number, today = book.quote(customer="CUST004"), clock.today()
    return lambda: f"{number}>{quotes.bind('auto', number, {}, effective=today, by='AG001', token=token)}"


def approve(token: str) -> Step:
    """A claim from its report to its assignment, and the step that approves it, which gives its number."""
    number = claim_steps.report(summary="Auto accident", by="AG001", customer="CUST001", agent="AG001")
    claim_steps.assign(number, "ADJ001", by="AG001", estimate=Decimal(3_000))

    def step() -> str:
        claim_steps.approve(number, Decimal(3_200), by="SUP001", token=token)
        return number

    return step


@kills
def test_no_acknowledged_action_is_lost_and_none_is_half_done_or_done_twice(
    durable: EmbeddedServer, kills: int
) -> None:
    stop = threading.Event()
    binders = [Worker(bind, stop, f"binder{number}-") for number in range(3)]
    approvers = [Worker(approve, stop, f"approver{number}-") for number in range(2)]
    workers = [*binders, *approvers]
    for worker in workers:
        worker.start()
    for _ in range(kills):
        time.sleep(0.3)
        assert durable.pid
        os.kill(durable.pid, signal.SIGKILL)
        durable.start()
    time.sleep(0.3)
    stop.set()
    for worker in workers:
        worker.join(30)
    bound, approved = ([each for worker in side for each in worker.done] for side in (binders, approvers))
    assert len(bound) > kills, "or the kills met nobody at work"
    assert len(approved) > kills
    assert not [error for worker in workers for error in worker.refused]
    store = redis.client()
    assert [each for each in bound if not is_bound(store, *each.split(">"))] == []
    assert [each for each in approved if not is_approved(store, each)] == []
    assert half_done(store) == []

    # Whoever never heard sends the form again: it is done now, or it was, and never twice.
    assert any(worker.unsure for worker in workers), "or no kill met anybody within a step"
    bound += [step() for worker in binders for step in worker.unsure]
    approved += [step() for worker in approvers for step in worker.unsure]
    assert [each for each in bound if not is_bound(store, *each.split(">"))] == []
    assert [each for each in approved if not is_approved(store, each)] == []
    assert half_done(store) == []
    assert sorted(each.partition(">auto:")[2] for each in bound) == sorted(policies_of(store))
    sold = store.get(keys.daily_metric(clock.today().isoformat(), "policies_sold"))
    assert sold == str(len(bound)), "the figures count each once"
    assert [each for each in approved if approvals(store, each) != 1] == []


def is_bound(store: Redis, quote: str, policy: str) -> bool:
    product, number = policy.split(":")
    found = policies.get(store, product, number)
    listed = comma_list(store.get(keys.customer_field("CUST004", "policies")))
    return found.customer == "CUST004" and policy in listed and not store.exists(keys.quote(product, quote))


def is_approved(store: Redis, number: str) -> bool:
    claim = claims.get(store, number)
    return claim.stage == "approved" and claim.final_amount == Decimal(3_200)


def policies_of(store: Redis) -> set[str]:
    return {name.split(":")[2] for name in store.scan_iter("policy:auto:*", count=1_000)}


def approvals(store: Redis, number: str) -> int:
    """How often it is on record that this claim was approved."""
    return sum(record.text.startswith("Approved") for record in audit.history(store, audit.CLAIM, number))


def half_done(store: Redis) -> list[str]:
    """Policies and claims of which something is there and something is not."""
    found = []
    listed = comma_list(store.get(keys.customer_field("CUST004", "policies")))
    numbers = policies_of(store)
    for number in numbers:
        policy = policies.get(store, "auto", number)
        told = (policy.customer, policy.premium, policy.agent, policy.status, policy.effective, policy.expires)
        if None in told or f"auto:{number}" not in listed or not audit.history(store, audit.POLICY, "auto", number):
            found.append(f"policy {number}")
    if store.get(keys.customer_field("CUST004", "policy_count")) != str(len(numbers)):
        found.append("the customer's count")
    for name in store.scan_iter("claim:*:status", count=1_000):
        number = name.split(":")[1]
        left = [each for each in keys.claim_temp_keys(number) if store.exists(each)]
        mortal = [each for each in keys.investigation_keys(number) if store.pttl(each) > 0]
        if left or mortal or not store.exists(keys.claim_field(number, "final_amount")):
            found.append(f"claim {number}")
    return found


def test_control_writing_one_key_after_the_other_leaves_half_of_it(durable: EmbeddedServer) -> None:
    """The same, without a transaction: some pair is broken in the middle."""
    stop = threading.Event()

    def naive(token: str) -> str:
        store = redis.client()
        for part in range(40):
            store.set(f"policy:auto:{token}:{part}", "x")
        return token

    worker = Worker(lambda token: lambda: naive(token), stop, "naive-")
    worker.start()
    for _ in range(5):
        time.sleep(0.2)
        assert durable.pid
        os.kill(durable.pid, signal.SIGKILL)
        durable.start()
    stop.set()
    worker.join(30)
    counted: dict[str, int] = {}
    for name in redis.client().scan_iter("policy:auto:*", count=1_000):
        token = name.split(":")[2]
        counted[token] = counted.get(token, 0) + 1
    assert [token for token, parts in counted.items() if parts != 40]


# -- on the disk before the answer


def traced(server: EmbeddedServer, tmp_path: Path, act: Callable[[], object]) -> str:
    """The server's writes and syncs while `act` runs, in order."""
    log = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-s", "100000", "-e", "trace=write,writev,sendto,sendmsg,fdatasync,fsync", "-o"]
    tracer = subprocess.Popen([*command, str(log), "-p", str(server.pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        tracer.wait(10)
        pytest.skip(f"strace may not look at another process here: {line.strip()}")
    try:
        act()
        time.sleep(0.2)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
    return log.read_text()


def order(trace: str, mark: str) -> list[str]:
    """What happened to the write that holds `mark`: `log` (the commands in the append-only file), `disk` (a sync that was
    begun behind it has come back), `answer`.
    """
    steps: list[str] = []
    syncing: set[str] = set()
    for line in trace.splitlines():
        thread, call = line.split(maxsplit=1)
        if call.startswith("write(") and "appendonly" in call and mark in call:
            steps.append("log")
        elif steps and re.match(r"f(data)?sync\(.*appendonly", call):
            if "unfinished" in call:
                syncing.add(thread)
            else:
                steps.append("disk")
        elif thread in syncing and "sync resumed" in call:
            syncing.remove(thread)
            steps.append("disk")
        elif steps and re.match(r"(write|writev|sendto|sendmsg)\(\d+<(UNIX|socket|TCP)", call):
            steps.append("answer")
    return steps


def traced_bind(durable: EmbeddedServer, tmp_path: Path) -> tuple[str, str]:
    """The trace of a quote's binding, and what stands in its last command alone: the form's token."""
    token = "mark".ljust(40, "x")
    step = bind(token)
    return traced(durable, tmp_path, step), keys.token(token)


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


@needs_strace
def test_a_bind_is_on_the_disk_before_it_is_answered(durable: EmbeddedServer, tmp_path: Path) -> None:
    trace, mark = traced_bind(durable, tmp_path)
    steps = order(trace, mark)
    assert steps[:3] == ["log", "disk", "answer"] and steps.count("log") == 1, trace
    (logged,) = [line for line in trace.splitlines() if "write(" in line and mark in line and "appendonly" in line]
    assert "MULTI" in logged and "EXEC" in logged, "all of it in one write"


@needs_strace
def test_control_a_server_that_syncs_every_second_answers_before(durable: EmbeddedServer, tmp_path: Path) -> None:
    redis.client().config_set("appendfsync", "everysec")
    trace, mark = traced_bind(durable, tmp_path)
    assert order(trace, mark)[:2] == ["log", "answer"], trace


@pytest.mark.parametrize(
    ("trace", "steps"),
    [
        ('1 write(8</appendonly>, "m") = 1\n1 fdatasync(8</appendonly>) = 0\n1 write(9<UNIX>, "+") = 1', "log disk answer"),
        ('1 write(8</appendonly>, "m") = 1\n2 fdatasync(8</appendonly> <unfinished ...>\n1 write(9<UNIX>, "+") = 1\n'
         "2 <... fdatasync resumed>) = 0", "log answer disk"),
        ('2 fdatasync(8</appendonly> <unfinished ...>\n1 write(8</appendonly>, "m") = 1\n'
         '2 <... fdatasync resumed>) = 0\n1 write(9<UNIX>, "+") = 1', "log answer"),
    ],
)  # fmt: skip
def test_only_a_sync_that_has_come_back_is_on_the_disk(trace: str, steps: str) -> None:
    assert " ".join(order(trace, "m")) == steps
