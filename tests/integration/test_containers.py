"""deploy/container: linted, and in agreement with the program. No container engine is at hand to build and run it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyOptions
from yarl import URL

from cluster.node import SHARED_SECRETS
from engine.asterisk.config_files import ROOT
from engine.config.settings import Settings

DIRECTORY = ROOT / "deploy" / "container"
CONTAINERFILE = DIRECTORY / "Containerfile"
DATA_DIR = "/var/lib/rented-numbers"


def test_the_linter_finds_nothing_in_the_containerfile() -> None:
    linted = subprocess.run(
        [str(Path(sys.executable).with_name("hadolint")), "--no-color", str(CONTAINERFILE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


def test_the_image_has_the_data_where_the_settings_say_and_asks_the_api_for_its_health() -> None:
    text = CONTAINERFILE.read_text()
    assert f'data_dir = "{DATA_DIR}"' in (ROOT / "deploy" / "rented-numbers.toml").read_text()
    assert f"VOLUME {DATA_DIR}\n" in text
    [asked] = re.findall(r"http://[^']+", text)
    assert URL(asked).port == Settings.model_fields["http_port"].default
    assert URL(asked).path == "/health"
    for copied in re.findall(r"(?m)^COPY (dist/\S+)", text):
        assert copied.endswith((".txt", ".whl"))


def parsed(name: str) -> dict[str, Any]:
    """A compose file, after a check against the specification."""
    options = PyOptions(apply_merge=True)
    services: dict[str, Any] = options.from_yaml((DIRECTORY / name).read_text()).to_dict()["services"]
    return services


def test_the_clusters_parts_have_the_addresses_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    services = parsed("cluster.yaml")
    for name in [name for name in os.environ if name.startswith("RENTED_NUMBERS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RENTED_NUMBERS_CONFIG", str(DIRECTORY / "cluster.toml"))
    settings = Settings()

    def address(name: str) -> str:
        return str(services[name]["networks"]["cluster"]["ipv4_address"])

    nodes = [name for name in services if name.startswith("node")]
    assert [f"{address(name)}:{settings.sip_port}" for name in nodes] == [str(each) for each in settings.nodes]
    assert address("kamailio") == str(settings.kamailio_host)
    assert [services[name]["environment"]["RENTED_NUMBERS_SIP_HOST"] for name in nodes] == list(map(address, nodes))
    assert URL(settings.database_url or "").host in services
    # Two Asterisks with one token would be taken for one, and settle each other's calls.
    data = [volume for name in nodes for volume in services[name]["volumes"] if f":{DATA_DIR}" in volume]
    assert len({volume.partition(":")[0] for volume in data}) == len(data) == len(nodes)
    assert {Path(each).name for each in services["shared-secrets"]["command"][:-1]} == set(SHARED_SECRETS)
    stages = re.findall(r"(?m)^FROM .* AS (\w+)$", CONTAINERFILE.read_text())
    assert {each["build"]["target"] for each in services.values() if "build" in each} <= set(stages)
    assert stages[-1] == "node", "what is built without a target"


def test_the_compose_file_is_one_and_its_files_exist() -> None:
    node = parsed("compose.yaml")["node"]
    assert (DIRECTORY / node["build"]["context"] / node["build"]["dockerfile"]).resolve() == CONTAINERFILE
    settings = node["environment"]["RENTED_NUMBERS_CONFIG"]
    [(here, inside)] = [
        (DIRECTORY / source, target)
        for source, target, *_ in (volume.split(":") for volume in node["volumes"])
        if source.startswith(".")
    ]
    assert here.is_file()
    assert inside == settings
    unit = (ROOT / "deploy" / "systemd" / "rented-numbers.service").read_text()
    assert f"TimeoutStopSec={node['stop_grace_period'].removesuffix('s')}\n" in unit
