"""A carrier that is a real Asterisk of its own: registrar, digest, TLS with SRTP, and telephones that answer.

A call that comes from one of our trunks is to a hidden number, which answers. A call that the test starts on its
console is to a rented number, and goes to our system.
"""

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.asterisk.config_files import AsteriskHome, find_program, write_own
from engine.config import secrets
from engine.config.settings import Settings
from engine.local.processes import LocalAsterisk
from phones.ports import free_port, free_port_range, give_back
from tests.e2e.environment import as_environment, environ

PATIENCE = 20.0
RTP_PORTS = 40
CHANNEL = re.compile(r"^(PJSIP/\S+-[0-9a-f]{8})!", re.MULTILINE)
TRANSPORTS = re.compile(r'^#include "pjsip_(?:plain|tls).conf"$', re.MULTILINE)

# What the telephones behind it show of themselves, in every header that Asterisk can write.
TALKATIVE = "send_pai = yes\nsend_rpid = yes\nsend_connected_line = yes\nsend_diversion = yes\ntrust_id_outbound = yes"
DIALPLAN = """
[from-trunk]
; The hidden number tells its name and number, and answers.
exten => _[+0-9]!,1,Set(SEEN=${CALLERID(all)} to ${EXTEN} by ${CHANNEL(endpoint)})
 same => n,Set(FROM=${PJSIP_HEADER(read,From)} ${PJSIP_HEADER(read,Contact)})
 same => n,Set(ASSERTED=${PJSIP_HEADER(read,P-Asserted-Identity)} ${PJSIP_HEADER(read,Remote-Party-ID)})
 same => n,Set(CONNECTEDLINE(all)="${EXTEN}" <${EXTEN}>)
 same => n,Ringing()
 same => n,Wait(0.2)
 same => n,Answer()
 same => n,Wait(30)
"""
PJSIP = """
[global]
type = global
user_agent = carrier
endpoint_identifier_order = auth_username,username,ip
"""


class AsteriskCarrier:
    """The carrier; it runs inside its `with`.

    Attributes:
        port: Its SIP port, the same for every address and for UDP and TCP.
        tls_port: Its port for SIP over TLS.
    """

    def __init__(self, host: str = "127.0.0.9") -> None:
        self.host = host
        self.port, self.tls_port = free_port(), free_port()
        self._rtp = free_port_range(RTP_PORTS)
        self._directory = Path(tempfile.mkdtemp(prefix="rnc-"))
        self._runner = asyncio.Runner()
        self._home: AsteriskHome | None = None
        self._asterisk: LocalAsterisk | None = None

    def start(self, sections: str, settings: Mapping[str, object] | None = None) -> None:
        """Starts it with its accounts, as sections of pjsip.conf."""
        chosen = {
            "data_dir": self._directory, "sip_host": self.host, "sip_port": self.port, "ami_port": free_port(),
            "rtp_start": self._rtp, "rtp_end": self._rtp + RTP_PORTS - 1, "fastagi_port": free_port(),
            "http_port": free_port(), **(settings or {}),
        }  # fmt: skip
        secrets.ensure(self._directory / "secrets")
        with environ(as_environment(chosen)):
            home = write_own(Settings(), secrets.load(self._directory / "secrets"), find_program())
        transports = re.findall(
            r'^#include "pjsip_(?:plain|tls).conf"$', (home.etc / "pjsip.conf").read_text(), re.MULTILINE
        )
        (home.etc / "pjsip.conf").write_text("\n".join([PJSIP, *transports, sections]))
        (home.etc / "extensions.conf").write_text(DIALPLAN)
        with (home.etc / "modules.conf").open("a") as modules:
            modules.write("load = res_clioriginate.so\nload = app_echo.so\n")
        self._home, self._asterisk = home, LocalAsterisk(find_program(), home)
        self._runner.run(self._asterisk.start())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._asterisk is not None:
                self._runner.run(self._asterisk.stop())
        finally:
            self._runner.close()
            give_back(self._rtp, RTP_PORTS)
            shutil.rmtree(self._directory, ignore_errors=True)

    def console(self, command: str) -> str:
        """Runs a console command and returns its output."""
        assert self._home is not None
        words = [*find_program().command, "-C", str(self._home.config), "-rx", command]
        return subprocess.run(words, capture_output=True, check=True, text=True, timeout=20).stdout

    def dial(self, number: str, endpoint: str) -> None:
        """Calls a rented number, with an echo as the caller's telephone."""
        self.console(f"channel originate PJSIP/{number}@{endpoint} application Echo")

    def dial_registered(self, number: str, account: str) -> None:
        """Calls a rented number over the registration of an account, as a registrar does (RFC 3261 section 16.5)."""
        [contact] = re.findall(rf"Contact: +{account}/sip:\S+?@(\S+)", self.console(f"pjsip show aor {account}"))
        self.console(f"channel originate PJSIP/{account}/sip:{number}@{contact} application Echo")

    def channels(self) -> list[str]:
        """The names of all its channels that are up."""
        up = [line for line in self.console("core show channels concise").splitlines() if "!Up!" in line]
        return CHANNEL.findall("\n".join(up))

    def seen(self, channel: str) -> str:
        """What the hidden number saw of a call."""
        [value] = re.findall("^SEEN=(.*)$", self.console(f"core show channel {channel}"), re.MULTILINE)
        return str(value)

    def wait_up(self, count: int) -> list[str]:
        """Waits for this number of channels that are up."""
        self.until(lambda: len(self.channels()) == count, f"{count} channels are up")
        return self.channels()

    def hang_up(self) -> None:
        """Ends all calls, and waits until they are gone."""
        self.console("channel request hangup all")
        self.until(lambda: self.channels() == [], "no channel is left")

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}\n{self.log}"
            time.sleep(0.05)

    @property
    def log(self) -> str:
        assert self._home is not None
        return "".join((self._home.log / name).read_text(errors="replace") for name in ("messages", "console"))
