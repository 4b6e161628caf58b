"""The ledger's sums as Prometheus metrics.

Labels are kinds, models, states and the like, a few words each. Prompts, keys, people and runs are
none: a time series for each would fill any server, and tell what is private.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from asset_pipeline.ledger.metric_sums import CACHE_HITS, MetricSum, MetricSums, Reading
from asset_pipeline.ledger.schema import OPEN_STATES, BreakerState, IntentState
from asset_pipeline.measures import DECODER_RESTARTS, PROVIDER, SECONDS, STORE
from asset_pipeline.money import to_decimal
from asset_pipeline.monitoring.workers import WorkerTotals, totals_of

_PREFIX: Final = "asset_pipeline"
_ORPHAN: Final = "orphan"
_HISTOGRAMS: Final = {
    "prediction": ("prediction_seconds", "What the provider says that a prediction took."),
    "queue": ("queue_seconds", "From a create to its end, without what the prediction took."),
    "delivery": ("delivery_seconds", "From a prediction's end to its clip in the store."),
}
_REQUESTS: Final = {
    PROVIDER: ("provider_request_seconds", "Requests to the provider."),
    STORE: ("store_request_seconds", "Requests to the store."),
}


class LedgerCollector(Collector):
    """Reads the ledger at each scrape: what it says holds for all processes, whoever was killed.

    Args:
        sums: The ledger's.
        look: Returns what the paying processes of this machine take.
    """

    def __init__(
        self, sums: MetricSums, look: Callable[[Reading], WorkerTotals] = totals_of
    ) -> None:
        self._sums = sums
        self._look = look

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry would read the ledger at its making to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, as of one moment of the ledger."""
        self._sums.write_measures()
        self._sums.fold()
        reading = self._sums.read()
        by_name: defaultdict[str, list[MetricSum]] = defaultdict(list)
        for each in reading.sums:
            by_name[each.name].append(each)
        yield from _generations(by_name["intents"])
        yield from _open_intents(reading, by_name["intents"])
        yield from _budgets(reading)
        for name, (shown, text) in _HISTOGRAMS.items():
            yield _histogram(shown, text, ("kind", "model"), by_name[name])
        for name, (shown, text) in _REQUESTS.items():
            yield _histogram(shown, text, ("operation", "outcome"), by_name[name])
        yield from _happenings(reading, by_name)
        yield from _breakers(reading)
        yield from _processes(reading, self._look(reading))


def registry_for(sums: MetricSums) -> CollectorRegistry:
    """Return a registry of the ledger's metrics and of this process's memory and files."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(sums))
    ProcessCollector(registry=registry)
    return registry


def exposed(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the metrics as text and its content type, OpenMetrics for who accepts it."""
    encode, content_type = choose_encoder(accept)
    text: bytes = encode(registry)
    return text, content_type


def as_text(registry: CollectorRegistry, *, open_metrics: bool) -> str:
    """Return the metrics as text."""
    if open_metrics:
        encoded = cast("bytes", openmetrics.generate_latest(registry))
        return encoded.decode()
    return generate_latest(registry).decode()


def _gauge(name: str, text: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=tuple(labels))


def _counter(name: str, text: str, labels: Iterable[str] = ()) -> CounterMetricFamily:
    return CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=tuple(labels))


def _usd(micro_usd: int) -> float:
    """Return dollars; the digits that a float is shown with are the micro-dollars' own."""
    return float(to_decimal(micro_usd))


def _generations(sums: Iterable[MetricSum]) -> Iterator[Metric]:
    generations = _counter(
        "generations", "Paid calls that ended.", ("kind", "model", "state", "error_class")
    )
    cost = _counter("cost_usd", "What was charged, in US dollars.", ("kind", "model"))
    charged: defaultdict[tuple[str, str], int] = defaultdict(int)
    orphaned = 0
    for each in sums:
        charged[each.kind, each.model] += each.total
        if each.error_class == _ORPHAN:
            orphaned += each.total
        elif IntentState(each.state) not in OPEN_STATES:
            labels = (each.kind, each.model, each.state, each.error_class)
            generations.add_metric(labels, each.count)
    for labels, total in charged.items():
        cost.add_metric(labels, _usd(total))
    yield generations
    yield cost
    orphans = _gauge("orphan_spend_usd", "Charged for predictions that nobody here asked for.")
    orphans.add_metric((), _usd(orphaned))
    yield orphans


def _open_intents(reading: Reading, sums: Iterable[MetricSum]) -> Iterator[Metric]:
    counts: dict[IntentState, int] = dict.fromkeys(OPEN_STATES, 0)
    for each in sums:
        if IntentState(each.state) in counts:
            counts[IntentState(each.state)] += each.count
    number = _gauge("open_intents", "Paid calls under way, by how far they are.", ("state",))
    age = _gauge("oldest_open_intent_age_seconds", "Since the oldest was begun.", ("state",))
    for state, count in counts.items():
        number.add_metric((state.value,), count)
        since = reading.oldest.get(state.value)
        seconds = 0.0 if since is None else (reading.at - since).total_seconds()
        age.add_metric((state.value,), max(0.0, seconds))
    yield number
    yield age
    waiting = _gauge("deliveries_waiting", "Clips that are paid for and not stored yet.")
    waiting.add_metric((), counts[IntentState.COMPLETED])
    yield waiting


def _budgets(reading: Reading) -> Iterator[Metric]:
    charged = _gauge("budget_charged_usd", "Charged under a budget.", ("budget",))
    reserved = _gauge("budget_reserved_usd", "Set aside under a budget.", ("budget",))
    cap = _gauge("budget_cap_usd", "A budget's cap; none is shown where none is set.", ("budget",))
    headroom = _gauge("budget_headroom_usd", "What may still be set aside.", ("budget",))
    for name, balance in sorted(reading.budgets.items()):
        charged.add_metric((name,), _usd(balance.charged))
        reserved.add_metric((name,), _usd(balance.reserved))
        if balance.is_capped:
            cap.add_metric((name,), _usd(balance.cap))
            headroom.add_metric((name,), _usd(balance.headroom))
    yield from (charged, reserved, cap, headroom)


def _histogram(
    name: str, text: str, labels: tuple[str, str], sums: Iterable[MetricSum]
) -> HistogramMetricFamily:
    """Return a histogram; those by kind and model are of intents, others of requests."""
    family = HistogramMetricFamily(f"{_PREFIX}_{name}", text, labels=labels)
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
    totals: defaultdict[tuple[str, str], int] = defaultdict(int)
    for each in sums:
        values = (each.kind, each.model) if each.model else (each.state, each.error_class)
        counts[values][each.bucket] += each.count
        totals[values] += each.total
    for values, found in sorted(counts.items()):
        below, buckets = 0, list[tuple[str, float]]()
        for end, count in zip((*map(str, SECONDS), "+Inf"), found, strict=True):
            below += count
            buckets.append((end, below))
        family.add_metric(values, buckets, totals[values] / 1_000_000)
    return family


def _happenings(reading: Reading, sums: defaultdict[str, list[MetricSum]]) -> Iterator[Metric]:
    hits = _counter("cache_hits", "Clips that were wanted and were there.", ("kind", "model"))
    for each in sums[CACHE_HITS]:
        hits.add_metric((each.kind, each.model), each.count)
    reviews = _counter("reviews", "What people decided about clips.", ("verdict",))
    for each in sums["reviews"]:
        reviews.add_metric((each.state,), each.count)
    throttles = _counter("throttles", "How often the provider said that we are too fast.")
    throttles.add_metric((), reading.throttles)
    restarts = _counter("decoder_restarts", "Decoders of files that had to be started again.")
    restarts.add_metric((), sum(each.count for each in sums[DECODER_RESTARTS]))
    count, since = reading.waiting
    waiting = _gauge("submissions_waiting", "Submitted prompts that no run has yet.")
    waiting.add_metric((), count)
    oldest = _gauge("oldest_submission_age_seconds", "Since the first of them waits.")
    seconds = 0.0 if since is None else (reading.at - since).total_seconds()
    oldest.add_metric((), max(0.0, seconds))
    yield from (hits, reviews, throttles, restarts, waiting, oldest)


def _breakers(reading: Reading) -> Iterator[Metric]:
    states = _gauge("breaker_state", "1 for the state that a breaker is in.", ("model", "state"))
    since = _gauge("breaker_open_seconds", "Since when a breaker is not closed.", ("model",))
    for model, (found, opened_at) in sorted(reading.breakers.items()):
        for state in BreakerState:
            states.add_metric((model, state.value), float(state.value == found))
        seconds = 0.0
        if found != BreakerState.CLOSED.value and opened_at is not None:
            seconds = (reading.at - opened_at).total_seconds()
        since.add_metric((model,), max(0.0, seconds))
    yield states
    yield since


def _processes(reading: Reading, found: WorkerTotals) -> Iterator[Metric]:
    beats = _gauge(
        "heartbeat_age_seconds", "Since a sensor or a service was last heard of.", ("name",)
    )
    for name, seen_at in sorted(reading.heartbeats.items()):
        beats.add_metric((name,), max(0.0, (reading.at - seen_at).total_seconds()))
    yield beats
    for name, text, value in (
        ("workers", "Processes that pay and were heard of lately.", found.alive),
        ("workers_lost", "Processes that ended without saying so.", found.lost),
        ("worker_resident_memory_bytes", "What they take on this machine.", found.memory),
        ("worker_resident_memory_max_bytes", "What the largest takes.", found.largest),
        ("worker_open_fds", "Files that they have open on this machine.", found.files),
    ):
        gauge = _gauge(name, text)
        gauge.add_metric((), value)
        yield gauge
