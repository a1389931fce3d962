"""The example firewall uses the ports of the settings. e2e/test_firewall.py tests its effect."""

import re

from engine.asterisk.config_files import ROOT
from engine.config.settings import Settings

FIREWALL = ROOT / "deploy" / "firewall.nft"


def _defined(name: str) -> str:
    [value] = re.findall(rf"^define {name} = (.*)$", FIREWALL.read_text(), re.MULTILINE)
    return str(value)


def test_the_firewall_uses_the_default_ports() -> None:
    fields = Settings.model_fields
    assert (
        _defined("sip") == f"{{ {fields['sip_port'].default}, 5061 }}"
    )  # SIP_TLS_PORT has no default: the value of docs/asterisk.md
    assert _defined("sound") == f"{fields['rtp_start'].default}-{fields['rtp_end'].default}"


def test_only_the_carrier_reaches_asterisks_ports() -> None:
    rules = FIREWALL.read_text().partition("chain input {")[2]
    accepted, _, dropped = rules.partition("tcp dport $sip drop")
    assert {"$carrier4", "$carrier6"} == set(re.findall(r"saddr (\S+) accept", accepted))
    assert re.findall(r"udp dport (\S+) drop", dropped) == ["$sip", "$sound"]
