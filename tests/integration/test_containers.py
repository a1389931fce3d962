"""deploy/container: linted, and in agreement with the program. No container engine is at hand to build and run it."""

import re
import subprocess
import sys
from pathlib import Path

from compose_spec import PyCompose
from yarl import URL

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


def test_the_compose_file_is_one_and_its_files_exist() -> None:
    compose = PyCompose.from_yaml((DIRECTORY / "compose.yaml").read_text())
    node = compose.to_dict()["services"]["node"]
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
