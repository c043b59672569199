"""Counters for Prometheus, by route and status, not by channel: a thousand would be as many series."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.web.service import Service

CONTENT_TYPE = CONTENT_TYPE_LATEST
_QUANTILES = (0.5, 0.99)
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics(Collector):
    """The numbers of one application, in a registry of its own; counted in the thread of its event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests[route, status] += 1
        buckets = self._seconds.get(route)
        if buckets is None:
            buckets = self._seconds[route] = [0] * (len(_BUCKETS) + 1)
        buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._sums[route] = self._sums.get(route, 0.0) + seconds

    def text(self) -> bytes:
        """All numbers in Prometheus's format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every number, as it is now."""
        requests = CounterMetricFamily(
            "headrace_requests", "Requests by route and status.", labels=["route", "status"]
        )
        for (route, status), count in self._requests.items():
            requests.add_metric([route, str(status)], count)
        yield requests
        yield self._histogram()
        yield from self._batches()
        writer = self._service.writer
        yield CounterMetricFamily(
            "headrace_commits", "Transactions of answers and feedback.", value=writer.commits
        )
        yield GaugeMetricFamily(
            "headrace_ready", "1 where a release serves, else 0.", value=float(self._service.ready)
        )

    def _batches(self) -> Iterator[Metric]:
        """The middle and the slow end of the last batches, which come too many for a bucket each."""
        recent = self._service.recent
        for name, said, values in (
            ("rows", "Rows of a batch, of the last thousand.", sorted(float(rows) for rows, _ in recent)),
            ("seconds", "Seconds of a batch, of the last thousand.", sorted(took for _, took in recent)),
        ):
            family = GaugeMetricFamily(f"headrace_batch_{name}", said, labels=["quantile"])
            for quantile in _QUANTILES if values else ():
                family.add_metric([str(quantile)], values[int(quantile * (len(values) - 1))])
            yield family

    def _histogram(self) -> Metric:
        family = HistogramMetricFamily(
            "headrace_request_seconds",
            "Seconds from a request's head to the end of its response.",
            labels=["route"],
        )
        for route, buckets in self._seconds.items():
            total, cumulated = 0, []
            for bound, count in zip([*map(str, _BUCKETS), "+Inf"], buckets, strict=True):
                total += count
                cumulated.append((bound, total))
            family.add_metric([route], cumulated, self._sums[route])
        return family
