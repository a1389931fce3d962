"""One system with a trunk of each kind, and the scripted carrier that all of them lead to."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phones.messages import Message
from phones.peer import Address, Body, Dialog, Media, Peer, Stage, sdp
from phones.ports import free_port
from tests.e2e.booking import Booking, import_numbers
from tests.e2e.carriers import variants
from tests.e2e.carriers.scripted import ScriptedCarrier
from tests.e2e.carriers.variants import EVERY, VARIANTS, Variant
from tests.e2e.leaks.system import MORE_NUMBERS
from tests.e2e.system import System

HOST = "127.0.0.2"
SOURCE = "+33199007777"
# The address before the router, and the only trunk whose callers are on our side of it.
EXTERNAL = "203.0.113.7"
LOCAL = VARIANTS[0]
# The users that Asterisk registers.
REGISTERED = {each.account.user for each in VARIANTS if each.account is not None and "register" in each.trunk}
# What a booking of a test may spend.
PLAN = {"seconds": 600, "calls": 25}
# Asterisk's seconds until it tries a registration again, in the tests.
RETRY_SECONDS = 1
RETRIES = ("retry_interval", "forbidden_retry_interval", "fatal_retry_interval")
# Writes the session description of a telephone with sound at this address.
Describe = Callable[[Address], Body]


class CarrierSystem(System):
    """A system whose hidden numbers are called over the trunk that the table names."""

    def __init__(self, **overrides: Any) -> None:
        self.carrier = (HOST, free_port())
        self._free = {each.name: iter(variants.hidden_numbers(each)) for each in EVERY}
        every = variants.trunks(self.carrier)
        super().__init__(
            engine_only={"trunks": every[:1]},
            trunks=every,
            trunk_passwords=variants.passwords(),
            longest_call=60,
            external_address=EXTERNAL,
            local_networks=["127.0.0.1/32", f"{variants.callers_host(LOCAL)}/32"],
            plans={"LARGE": {**PLAN, "valid_for": 3600}},
            **overrides,
        )

    def start(self) -> None:
        super().start()
        import_numbers(self, (f"+331990{number:05}" for number in MORE_NUMBERS))

    def alter(self, etc: Path) -> None:
        """Shortens the times that a test would have to wait for."""
        path = etc / "pjsip_rented_numbers.conf"
        text, count = re.subn(
            r"^(\w*retry_interval) = \d+$", rf"\1 = {RETRY_SECONDS}", path.read_text(), flags=re.MULTILINE
        )
        assert count == len(RETRIES) * sum("register" in each.trunk for each in VARIANTS)
        path.write_text(text)
        with (etc / "pjsip.conf").open("a") as file:
            # A request without an answer is given up after 64 times the first figure.
            file.write("[system]\ntype = system\ntimer_t1 = 100\ntimer_b = 6400\n")

    @property
    def sip_address(self) -> Address:
        return "127.0.0.1", self.settings.sip_port

    def is_up(self, variant: Variant) -> bool:
        """Whether Asterisk sends calls over the trunk, by its state, which is also DEVICE_STATE(PJSIP/trunk-…)."""
        shown = self.asterisk_console(f"pjsip show endpoint trunk-{variant.name}")
        [state] = (line for line in shown.splitlines() if f"Endpoint:  trunk-{variant.name}" in line)
        return "Unavailable" not in state

    def book_over(self, variant: Variant, **more: object) -> Booking:
        """Makes a booking whose hidden number is called over a trunk of this kind."""
        number = self.number_over(variant)
        body = {"destination": number, "usagePlan": "LARGE", "callback": "http://127.0.0.1:9/", **more}
        answer = self.request("POST", "/bookings", body)
        assert answer.status == 201, answer
        self.hidden.add(number)
        return Booking(self, answer.body["id"], answer.body["service"], number)

    def number_over(self, variant: Variant) -> str:
        """Returns a number that no other test has, and that is called over a trunk of this kind."""
        number = next(self._free[variant.name])
        # As for the demo's softphones, so that this number has another trunk than the first one.
        self.asterisk_console(f"dialplan set global RN_PHONE_{number[1:]} {number}@trunk-{variant.name}")
        return number


class Line:
    """The carrier's side of a system's trunks: callers come in over each of them, and hidden numbers answer."""

    def __init__(self, system: CarrierSystem, stage: Stage) -> None:
        self.system, self.stage = system, stage
        accounts = {each.account.user: each.account for each in VARIANTS if each.account is not None}
        self.carrier = ScriptedCarrier(
            stage, system.carrier, accounts, lambda number: variants.variant_of(number).account
        )
        self._callers: dict[str, Peer] = {}
        self._media: list[Media] = []
        self._serial = itertools.count()

    def close(self) -> None:
        for media in self._media:
            self.stage.run(_close(media))
        for peer in self._callers.values():
            self.stage.run(peer.close())
        self.carrier.close()

    def call(
        self,
        variant: Variant,
        service: str,
        headers: Iterable[str] = (),
        source: str = SOURCE,
        describe: Describe = sdp,
    ) -> tuple[Dialog, Message]:
        """Calls a number over a trunk. Returns the caller's dialog and the final answer."""
        return self.stage.run(self._call(variant, service, headers, source, describe))

    async def _call(
        self, variant: Variant, service: str, headers: Iterable[str], source: str, describe: Describe
    ) -> tuple[Dialog, Message]:
        dialog = await self.dialog(variant, service, source)
        media = Media.open(dialog.wire.local[0])
        self._media.append(media)
        dialog.sound = describe(media.local)
        return dialog, await dialog.answered(dialog.request("INVITE", headers, dialog.sound))

    async def dialog(self, variant: Variant, service: str, source: str = SOURCE) -> Dialog:
        """Prepares a call that comes in over a trunk."""
        host = variants.callers_host(variant)
        if host not in self._callers:
            self._callers[host] = await Peer.open(host)
        dialog = await self._callers[host].dialog(service, self.system.sip_address, source=source)
        if "register" in variant.trunk:
            # As a registrar writes it: the Contact with all its parameters. The number that was dialled replaces its
            # user, or is in To alone.
            assert variant.account is not None
            contact, _ = self.carrier.contacts[variant.account.user]
            in_to = variant.trunk.get("dialled_number") == "to"
            dialog.target = contact if in_to else f"sip:{service}@{contact.partition('@')[2]}"
        return dialog

    def call_from_carrier(self, service: str) -> Message:
        """Calls a number from the address to which the trunks lead. Returns the final answer."""

        async def begin() -> Message:
            dialog = await self.carrier.peer.dialog(service, self.system.sip_address, source=SOURCE)
            return await dialog.answered(dialog.request("INVITE"))

        return self.stage.run(begin())

    def ask(self, dialog: Dialog, method: str) -> int | None:
        """Sends a request within a call. Returns the status of the answer."""

        async def begin() -> int | None:
            return (await dialog.answered(dialog.request(method))).status

        return self.stage.run(begin())

    def hang_up(self, dialog: Dialog) -> None:
        self.stage.run(_hang_up(dialog))

    def invite(self, number: str) -> Message:
        """The INVITE to a hidden number that the carrier accepted."""
        found = self.carrier.calls[number].invite
        assert found is not None
        return found


async def _hang_up(dialog: Dialog) -> None:
    await dialog.answered(dialog.request("BYE"))


async def _close(media: Media) -> None:
    media.close()


@contextmanager
def line(system: CarrierSystem) -> Iterator[Line]:
    """Opens the carrier's side of a system, and waits until calls go over each of VARIANTS in both directions."""
    with Stage() as stage:
        opened = Line(system, stage)
        try:
            system.until(lambda: opened.carrier.contacts.keys() >= REGISTERED, "the lines are registered")
            yield opened
        finally:
            opened.close()


def identifying(message: Message, values: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The headers of a request that could identify the caller, without tags."""
    names = ("From", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy", "Diversion")
    return tuple(f"{name}: {value.partition(';tag=')[0]}" for name in names for value in message.headers(name))
