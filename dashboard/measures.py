"""What Prometheus is told. Each worker counts in files of its own that all of them read (the client's multiprocess
mode, in a folder that the parent empties at start): whichever worker is asked answers for all. What the store knows is
read when it is asked for, once, and not gathered in each worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis
from redis.exceptions import RedisError

from dashboard.repository import server

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the client library its folder. It has to be set before the library is imported."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""

_OWN = CollectorRegistry()

_requests = Counter(
    "tideline_requests", "Requests answered.", ("route", "method", "status"), registry=_OWN
)  # fmt: skip
_durations = Histogram(
    "tideline_request_seconds", "Time to answer a request.", ("route",), buckets=BUCKETS, registry=_OWN
)
_streams = Gauge("tideline_open_streams", "Live pages that are connected.", multiprocess_mode="livesum", registry=_OWN)


def request(route: str, method: str, status: int, seconds: float) -> None:
    _requests.labels(route, method, str(status)).inc()
    _durations.labels(route).observe(seconds)


def streams(count: int) -> None:
    """How many live pages are connected to this worker."""
    _streams.set(count)


def text(client: Redis) -> bytes:
    """All of it, in Prometheus's text form. One round trip; what the store knows is missing while it is away."""
    registry = CollectorRegistry()
    if os.environ.get(FOLDER):
        multiprocess.MultiProcessCollector(registry)
    else:
        registry.register(_Same())
    registry.register(_Store(client))
    return generate_latest(registry)


def prepare(folder: Path) -> None:
    """An empty folder for the workers' files: called by the parent before the first of them starts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()


def ended(folder: Path, worker: int) -> None:
    """A worker is gone, and with it its streams. What it counted stays counted."""
    for path in folder.glob(f"gauge_live*_{worker}.db"):
        path.unlink(missing_ok=True)


class _Same(Collector):
    """Of a process that is alone: what it counted itself."""

    def collect(self) -> Iterator[Metric]:
        yield from _OWN.collect()


class _Store(Collector):
    """What the store knows, when it is asked."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def collect(self) -> Iterator[Metric]:
        try:
            found = server.measured(self._client)
        except (RedisError, OSError):
            yield GaugeMetricFamily("tideline_store_up", "Whether the store answers.", 0)
            return
        yield GaugeMetricFamily("tideline_store_up", "Whether the store answers.", 1)
        for name, meaning, value in (
            ("tideline_quotes_live", "Quotes that live.", found.quotes),
            ("tideline_jobs_running", "Bulk work under way.", found.jobs),
            ("tideline_follower_lag_seconds", "From a change in the store to its being told.", found.lag),
            ("tideline_follower_leased", "Whether a process holds the follower's lease.", int(found.leased)),
            ("tideline_store_memory_bytes", "Memory that the store uses.", found.memory),
            ("tideline_store_clients", "Connections to the store.", found.clients),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, meaning, value)
        commands = CounterMetricFamily("tideline_store_commands", "Commands the store ran.", labels=("command",))
        seconds = CounterMetricFamily(
            "tideline_store_command_seconds", "Time the store spent on them.", labels=("command",)
        )
        for command, (calls, took) in found.commands.items():
            commands.add_metric((command,), calls)
            seconds.add_metric((command,), took)
        yield commands
        yield seconds
