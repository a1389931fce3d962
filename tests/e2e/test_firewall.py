"""With deploy/firewall.nft, only the carrier gets an answer from Asterisk's ports."""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from engine.asterisk.config_files import ROOT
from tests.e2e.firewall_probe import CARRIER, CARRIER_TOO, UNKNOWN

NFT = ROOT / ".tools" / "bin" / "nft"
RULES = ROOT / "deploy" / "firewall.nft"
# An ordinary user can become root in a namespace, if the machine allows it.
UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
OTHERS = {"udp 11000", "tcp 8443"}


@cache
def has_namespaces() -> bool:
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False, timeout=20).returncode == 0


@pytest.fixture(scope="module")
def probed() -> dict[str, Any]:
    """What firewall_probe.py finds."""
    if not has_namespaces():
        pytest.skip("this machine allows no network namespace")
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.e2e.firewall_probe", NFT, RULES],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_carrier_gets_an_answer_at_every_port(probed: dict[str, Any]) -> None:
    assert set(probed["answered"][CARRIER].values()) == {True}


def test_an_unknown_address_gets_no_answer_from_any_port_of_asterisk(probed: dict[str, Any]) -> None:
    assert {port for port, came_back in probed["answered"][UNKNOWN].items() if came_back} == OTHERS


def test_an_address_of_the_carrier_may_have_a_hundred_connections(probed: dict[str, Any]) -> None:
    assert probed["connections"] == {CARRIER: 100, CARRIER_TOO: 100}
