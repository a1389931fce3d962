"""Makes Prometheus's families of metrics from plain integers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from engine.runtime.tallies import Histogram

PREFIX = "rented_numbers_"
Labels = Sequence[str]
# The values of the labels.
K = TypeVar("K", bound=tuple[str, ...])


def counter(name: str, text: str, values: Mapping[K, float], labels: Labels = ()) -> CounterMetricFamily:
    """Returns a counter with a value for each combination of labels. Its name in a scrape ends in `_total`."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def gauge(name: str, text: str, values: Mapping[K, float], labels: Labels = ()) -> GaugeMetricFamily:
    """Returns a gauge with a value for each combination of labels."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def states(name: str, text: str, present: Mapping[str, str], known: Iterable[str], label: str) -> GaugeMetricFamily:
    """Returns a gauge that is 1 for the state in which each thing is, and 0 for its other states.

    Args:
        name: The gauge's name.
        text: What it is.
        present: The state of each thing.
        known: All states.
        label: What the things are.
    """
    every = tuple(known)
    values = {(thing, state): float(state == now) for thing, now in present.items() for state in every}
    return gauge(name, text, values, (label, "state"))


def histogram(name: str, text: str, values: Mapping[K, Histogram], labels: Labels = ()) -> HistogramMetricFamily:
    """Returns a histogram for each combination of labels."""
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for key, tally in values.items():
        # The total comes first: what is added meanwhile must not be in it without being counted.
        total, buckets, below = tally.total, list[tuple[str, float]](), 0
        for bound, count in zip((*map(str, map(float, tally.bounds)), "+Inf"), tally.counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(key, buckets, total)
    return family
