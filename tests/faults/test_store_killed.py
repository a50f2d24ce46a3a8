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


class Worker(threading.Thread):
    """Does one thing after the other until it is told to stop, and keeps what it was told was done."""

    def __init__(self, act: Callable[[str], str], stop: threading.Event, name: str) -> None:
        super().__init__(daemon=True)
        self._act, self._stop_it, self._name = act, stop, name
        self.done: list[str] = []
        self.unsure = 0
        self.refused: list[Exception] = []

    def run(self) -> None:
        number = 0
        while not self._stop_it.is_set():
            number += 1
            try:
                self.done.append(self._act(f"{self._name}{number}".ljust(40, "x")))
            except StoreDown:
                self.unsure += 1
                time.sleep(0.02)
            except DomainError as error:
                self.refused.append(error)
            except (redis.RedisError, OSError):
                self.unsure += 1
                time.sleep(0.02)


def bind(token: str) -> str:
    """A quote and its policy. Gives `quote>policy`."""
    number = book.quote(customer="CUST004")
    return f"{number}>{quotes.bind('auto', number, {}, effective=clock.today(), by='AG001', token=token)}"


def approve(token: str) -> str:
    """A claim from its report to its approval. Gives its number."""
    number = claim_steps.report(summary="Auto accident", by="AG001", customer="CUST001", agent="AG001")
    claim_steps.assign(number, "ADJ001", by="AG001", estimate=Decimal(3_000))
    claim_steps.approve(number, Decimal(3_200), by="SUP001", token=token)
    return number


@kills
def test_no_acknowledged_action_is_lost_and_none_is_half_done(durable: EmbeddedServer, kills: int) -> None:
    stop = threading.Event()
    binders = [Worker(bind, stop, f"binder{number}-") for number in range(3)]
    approvers = [Worker(approve, stop, f"approver{number}-") for number in range(2)]
    for worker in (*binders, *approvers):
        worker.start()
    for _ in range(kills):
        time.sleep(0.3)
        assert durable.pid
        os.kill(durable.pid, signal.SIGKILL)
        durable.start()
    time.sleep(0.3)
    stop.set()
    for worker in (*binders, *approvers):
        worker.join(30)
    bound, approved = ([each for worker in side for each in worker.done] for side in (binders, approvers))
    assert len(bound) > kills, "or the kills met nobody at work"
    assert len(approved) > kills
    assert sum(worker.unsure for worker in (*binders, *approvers)) >= kills
    assert not [error for worker in (*binders, *approvers) for error in worker.refused]
    store = redis.client()
    assert [each for each in bound if not is_bound(store, *each.split(">"))] == []
    assert [each for each in approved if not is_approved(store, each)] == []
    assert half_done(store) == []


def is_bound(store: Redis, quote: str, policy: str) -> bool:
    product, number = policy.split(":")
    found = policies.get(store, product, number)
    listed = comma_list(store.get(keys.customer_field("CUST004", "policies")))
    return found.customer == "CUST004" and policy in listed and not store.exists(keys.quote(product, quote))


def is_approved(store: Redis, number: str) -> bool:
    claim = claims.get(store, number)
    return claim.stage == "approved" and claim.final_amount == Decimal(3_200)


def half_done(store: Redis) -> list[str]:
    """Policies and claims of which something is there and something is not."""
    found = []
    listed = comma_list(store.get(keys.customer_field("CUST004", "policies")))
    numbers = {name.split(":")[2] for name in store.scan_iter("policy:auto:*", count=1_000)}
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

    worker = Worker(naive, stop, "naive-")
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
    command = ["strace", "-f", "-y", "-s", "64", "-e", "trace=write,writev,sendto,sendmsg,fdatasync,fsync", "-o"]
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
    """What happened to the write that holds `mark`: `log` (the command in the append-only file), `disk`, `answer`."""
    steps, written = [], False
    for line in trace.splitlines():
        if "appendonly" in line and "write(" in line and mark in line:
            steps.append("log")
            written = True
        elif written and re.search(r"\b(fdatasync|fsync)\(", line) and "appendonly" in line:
            steps.append("disk")
        elif written and re.search(r"(write|writev|sendto|sendmsg)\(\d+<(UNIX|socket|TCP)", line):
            steps.append("answer")
    return steps


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


@needs_strace
def test_a_change_is_on_the_disk_before_it_is_answered(durable: EmbeddedServer, tmp_path: Path) -> None:
    trace = traced(durable, tmp_path, lambda: redis.client().set("mark-always", "x"))
    assert order(trace, "mark-always")[:3] == ["log", "disk", "answer"], trace


@needs_strace
def test_control_a_server_that_syncs_every_second_answers_before(durable: EmbeddedServer, tmp_path: Path) -> None:
    redis.client().config_set("appendfsync", "everysec")
    trace = traced(durable, tmp_path, lambda: redis.client().set("mark-everysec", "x"))
    assert order(trace, "mark-everysec")[:2] == ["log", "answer"], trace
