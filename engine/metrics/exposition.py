"""Answers Prometheus's scrapes: an application of its own, which the engine serves on an address of its own."""

import asyncio
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from engine.metrics.collector import Sources, collect
from engine.metrics.database_figures import DatabaseReader

PATH = "/metrics"


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
        text = b""
        for family in (*collect(sources, figures, reader.failures), *process.collect()):
            text += generate_latest(_OneFamily(family))
            # Calls go on between two families: to write all of them takes several milliseconds.
            await asyncio.sleep(0)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app = web.Application()
    app.router.add_get(PATH, metrics)
    return app
