"""With deploy/firewall.nft, whoever is not the carrier gets nothing at all from the ports of Asterisk."""

import json
import os
import subprocess
import sys
from functools import cache

import pytest

from engine.asterisk.config_files import ROOT
from tests.e2e.firewall_probe import CARRIER, STRANGER

NFT = ROOT / ".tools" / "bin" / "nft"
RULES = ROOT / "deploy" / "firewall.nft"
# Whoever is not root may be it in a namespace, where the machine allows that.
UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
OTHERS = {"udp 11000", "tcp 8443"}


@cache
def has_namespaces() -> bool:
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False, timeout=20).returncode == 0


@pytest.fixture(scope="module")
def answered() -> dict[str, dict[str, bool]]:
    """By source and port. See firewall_probe.py."""
    if not has_namespaces():
        pytest.skip("this machine allows no network namespace")
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.e2e.firewall_probe", NFT, RULES],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, dict[str, bool]] = json.loads(done.stdout)
    return found


def test_the_carrier_is_answered_at_every_port(answered: dict[str, dict[str, bool]]) -> None:
    assert set(answered[CARRIER].values()) == {True}


def test_a_stranger_gets_no_answer_from_any_port_of_asterisk(answered: dict[str, dict[str, bool]]) -> None:
    assert {port for port, came_back in answered[STRANGER].items() if came_back} == OTHERS
