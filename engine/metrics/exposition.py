"""Answers Prometheus's scrapes: an application of its own, which the engine serves on an address of its own."""

import asyncio
from collections.abc import Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from engine.metrics.collector import Sources, collect
from engine.metrics.database_figures import DatabaseReader

PATH = "/metrics"
# What is written in one turn of the event loop: about a millisecond.
SAMPLES_A_TURN = 50


class _OneFamily(CollectorRegistry):
    """A registry with one family of metrics."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def build_metrics_app(sources: Sources, reader: DatabaseReader) -> web.Application:
    """Returns the application that serves `GET /metrics`.

    Args:
        sources: The parts of the engine whose counts are read.
        reader: Reads what the database says.
    """
    process = ProcessCollector(registry=None)

    async def metrics(_: web.Request) -> web.Response:
        figures = await reader.read()
        families = (*collect(sources, figures, reader.failures), *process.collect())
        return web.Response(body=await write(families), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app = web.Application()
    app.router.add_get(PATH, metrics)
    return app


async def write(families: Iterable[Metric]) -> bytes:
    """Returns the families in Prometheus's text format, and lets calls go on meanwhile.

    To write a pool of two hundred countries at once would hold up the event loop for 16 ms. A thread was rejected: it
    would hold the interpreter's lock for up to 5 ms each time that a call needs it.
    """
    text = bytearray()
    for family in families:
        for part in _parts(family):
            text += part
            await asyncio.sleep(0)
    return bytes(text)


def _parts(family: Metric) -> Iterator[bytes]:
    """Yields the lines of a family, some at a time."""
    samples = family.samples
    for begin in range(0, max(1, len(samples)), SAMPLES_A_TURN):
        some = Metric(family.name, family.documentation, family.type)
        some.samples = samples[begin : begin + SAMPLES_A_TURN]
        lines = generate_latest(_OneFamily(some))
        # Two lines of comment begin a family, and no further part.
        yield lines if begin == 0 else lines.split(b"\n", 2)[2]
