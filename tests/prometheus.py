"""The real Prometheus and its promtool, which deploy/tools.sh brings, with the files that we ship."""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from phones.ports import free_port
from tests.programs import ended

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / ".tools" / "bin" / "prometheus"
PROMTOOL = PROGRAM.with_name("promtool")
FILES = ROOT / "deploy" / "prometheus"
RULES = FILES / "rented-numbers.rules.yml"
CONFIG = FILES / "prometheus.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "rented-numbers.json"
TARGET = "127.0.0.1:9464"
_NAME = re.compile(r"\brented_numbers_\w+")
PATIENCE_SECONDS = 60.0


def promtool(*arguments: str | Path) -> str:
    """Runs promtool, which must succeed. Returns what it prints."""
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> set[str]:
    """Names of all alerts that we ship."""
    return set(re.findall(r"- alert: (\w+)", RULES.read_text()))


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """All queries of a dashboard, with its variables filled in."""
    panels = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", ()))]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [each.replace("$__rate_interval", "1m").replace("$instance", ".*") for each in found]


def names_in(text: str) -> set[str]:
    """Names of our metrics in a text. Those of recording rules have a colon, and are left out."""
    return set(_NAME.findall(re.sub(r"\brented_numbers:[\w:]+", "", text)))


def scraped(address: str) -> str:
    """What an engine answers to a scrape."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        content: bytes = answer.read()
    return content.decode()


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples of a scrape, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **parameters: str) -> Any:
        """Asks its API. Raises OSError, also for an answer that is an error."""
        url = f"{self._base}/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  the scheme is ours
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return result

    def wait_for(self, expression: str) -> None:
        """Waits until a query has a result."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if self.query(expression):
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, f"no result of {expression}"
            time.sleep(0.1)


@contextmanager
def prometheus_of(target: str, directory: Path) -> Iterator[Prometheus]:
    """Runs Prometheus with our configuration and rules, which scrapes `target` every second."""
    shipped = CONFIG.read_text()
    assert shipped.count(TARGET) == 1
    assert shipped.count("15s") == 2
    config, port = directory / "prometheus.yml", free_port()
    config.write_text(shipped.replace(TARGET, target).replace("15s", "1s"))
    (directory / RULES.name).write_text(RULES.read_text().replace("interval: 1m", "interval: 1s"))
    options = {
        "config.file": config,
        "storage.tsdb.path": directory / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    command = [str(PROGRAM), *(f"--{name}={value}" for name, value in options.items())]
    with (directory / "log").open("wb") as log, ended(subprocess.Popen(command, stdout=log, stderr=log)) as running:
        yield Prometheus(port)
        running.terminate()
