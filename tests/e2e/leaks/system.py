"""A system for the leak tests, with three trunks that have addresses of their own."""

import random
import ssl
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from engine.domain.prompts import Language, Prompt, sound_of
from phones import tone
from phones.ports import free_port
from tests.e2e.booking import import_numbers, share
from tests.e2e.certificates import Authority
from tests.e2e.leaks import callee, caller
from tests.e2e.system import System

# The demo's pool has a hundred numbers, fewer than the table has cells.
MORE_NUMBERS = range(100, 1000)
# Long enough that a callee has shown everything by then, also on a very busy machine.
LIMIT_SECONDS = 12
RING_SECONDS = 12
# Long enough to be heard, and short, because every call to a trunk that cannot be reached waits for it.
PROMPT_SECONDS = 0.3
# Long enough that a callee has said everything by then, also on a busy machine. The caller may hear what it says later.
WHISPER_SECONDS = 1.5
# The address of callers over TLS.
SECURE_HOST = "127.0.0.5"


@dataclass(frozen=True)
class Hidden:
    """A booking: its id, its rented number, its hidden number, and the PIN of that if it has one."""

    id: str
    service: str
    number: str
    pin: str = ""


class LeakSystem(System):
    """A system whose trunk has an address of its own, so that a caller who receives this address shows a leak.

    Its third trunk speaks TLS and SRTP, and the numbers that `secure` names are called over it.
    """

    rtp_ports = 800

    def __init__(self, *, rtp_timeout: float = 30, rtp_hold_timeout: float = 1800) -> None:
        self.trunk, self.second, self.third = ((callee.HOST, free_port()) for _ in range(3))
        self._certificates = tempfile.TemporaryDirectory(prefix="rn-")
        authority = Authority(Path(self._certificates.name), "authority")
        certificate = authority.issue()
        self.callers_tls = ssl.create_default_context(cafile=authority.file)
        self.trunks_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.trunks_tls.load_cert_chain(authority.issue(callee.HOST))
        secure = {"uri": f"{_uri(self.third)};transport=tls", "addresses": [SECURE_HOST], "media_encryption": "sdes"}
        plan = {"calls": 25, "valid_for": 3600}
        super().__init__(
            trunks=[
                {"name": "main", "uri": _uri(self.trunk), "addresses": [caller.HOST], "asserts_identity": True},
                {"name": "second", "uri": _uri(self.second)},
                {"name": "third", "asserts_identity": True, **secure},
            ],
            sip_tls_port=free_port(),
            sip_tls_certificate=certificate,
            sip_tls_key=certificate,
            sip_tls_ca=authority.file,
            plans={"SMALL": {"seconds": LIMIT_SECONDS, **plan}, "LARGE": {"seconds": 600, **plan}},
            longest_call=60,
            # Long enough that all calls that ring when the engine is killed still ring afterwards.
            ring_timeout=RING_SECONDS,
            rtp_timeout=rtp_timeout,
            rtp_hold_timeout=rtp_hold_timeout,
            voice=True,
        )
        for prompt in Prompt:
            recording = self.data_dir / "prompts" / f"{sound_of(prompt, Language.EN)}.wav"
            recording.parent.mkdir(parents=True, exist_ok=True)
            tone.write(recording, 440, WHISPER_SECONDS if prompt is Prompt.WHISPER else PROMPT_SECONDS)
        # The hidden numbers, each used once, without long runs of zeros.
        suffixes = list(range(1111, 7700))
        random.Random(4).shuffle(suffixes)
        self._hidden = iter(f"+3319900{suffix}" for suffix in suffixes)

    def start(self) -> None:
        super().start()
        import_numbers(self, (f"+331990{number:05}" for number in MORE_NUMBERS))
        # All pairs have this number.
        share(self, f"+331990{MORE_NUMBERS[0]:05}")

    def stop(self) -> None:
        self._certificates.cleanup()
        super().stop()

    @property
    def asterisk(self) -> tuple[str, int]:
        return ("127.0.0.1", self.settings.sip_port)

    @property
    def asterisk_tls(self) -> tuple[str, int]:
        assert self.settings.sip_tls_port is not None
        return ("127.0.0.1", self.settings.sip_tls_port)

    def secure(self, number: str) -> None:
        """Lets a hidden number be called over the trunk with TLS."""
        self.asterisk_console(f"dialplan set global RN_PHONE_{number[1:]} {number}@trunk-third")

    def swap(self, hidden: Hidden) -> Hidden:
        """Swaps the rented number of a booking."""
        answer = self.request("POST", f"/bookings/{hidden.id}/swap-number", {})
        assert answer.status == 200, answer
        return replace(hidden, service=answer.body["service"])

    def hide(self, plan: str = "LARGE", **fields: object) -> Hidden:
        """Makes a booking with a hidden number that no other booking has."""
        return self.hide_number(self.another_number(), plan, **fields)

    def another_number(self) -> str:
        """Returns a number that nobody has yet."""
        return next(self._hidden)

    def hide_number(self, number: str, plan: str = "LARGE", **fields: object) -> Hidden:
        body = {"destination": number, "usagePlan": plan, "callback": "http://127.0.0.1:9/", **fields}
        answer = self.request("POST", "/bookings", body)
        assert answer.status == 201, answer
        self.hidden.add(number)
        return Hidden(answer.body["id"], answer.body["service"], number)

    def pair(self, *numbers: str, pins: bool = False) -> Hidden:
        """Makes a pair, and returns it with the first participant's number and PIN."""
        body = {
            "participants": [{"number": number} for number in numbers],
            "usagePlan": "LARGE",
            "callback": "http://127.0.0.1:9/",
            "pins": pins,
        }
        answer = self.request("POST", "/bookings", body)
        assert answer.status == 201, answer
        known = [each["pin"] for each in answer.body["participants"]] if pins else []
        self.hidden.update(numbers, known)
        return Hidden(answer.body["id"], answer.body["service"], numbers[0], *known[:1])


def _uri(address: tuple[str, int]) -> str:
    return f"sip:{address[0]}:{address[1]}"
