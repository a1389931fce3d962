"""Calls between our system and a carrier that is an Asterisk, too: registered, encrypted, and over IPv6."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phones.peer import Dialog, Media, Peer, Stage, sdp
from phones.ports import free_port
from tests.e2e.carriers.asterisk_carrier import TALKATIVE, AsteriskCarrier
from tests.e2e.carriers.system import SOURCE
from tests.e2e.carriers.variants import PASSWORD
from tests.e2e.certificates import Authority
from tests.e2e.leaks.search import Secret, Shown, leaks
from tests.e2e.system import System

CALLER = "127.0.0.3"
ENDPOINT = f"type = endpoint\ncontext = from-trunk\ndisallow = all\nallow = alaw,ulaw\ndirect_media = no\n{TALKATIVE}"


@dataclass(frozen=True)
class Pair:
    """Our system and the carrier."""

    ours: System
    carrier: AsteriskCarrier


def account(name: str) -> str:
    """The carrier's sections for an account that registers and proves itself with SHA-256."""
    password = PASSWORD.replace(";", "\\;")
    return (
        f"[{name}]\n{ENDPOINT}\naors = {name}\nauth = {name}\n[{name}]\ntype = aor\nmax_contacts = 1\n"
        f"[{name}]\ntype = auth\nauth_type = userpass\nusername = {name}\npassword = {password}\n"
        "supported_algorithms_uas = SHA-256\n"
    )


def static(name: str, ours: str, match: str, *more: str) -> str:
    """The carrier's sections for a customer that is known by its address."""
    options = "\n".join(more)
    return (
        f"[{name}]\n{ENDPOINT}\naors = {name}\n{options}\n[{name}]\ntype = aor\ncontact = {ours}\n"
        f"[{name}]\ntype = identify\nendpoint = {name}\nmatch = {match}\n"
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    authority = Authority(tmp_path_factory.mktemp("tls"), "ours")
    tls: dict[str, Any] = {"sip_tls_ca": authority.file, "sip_plain": True}
    ours = tls | {"sip_tls_certificate": authority.issue(), "sip_tls_key": authority.issue()}
    theirs = tls | {"sip_tls_certificate": authority.issue("127.0.0.9"), "sip_tls_key": authority.issue("127.0.0.9")}
    with ExitStack() as up:
        carrier = up.enter_context(AsteriskCarrier())
        tls_port = free_port()
        secure = static("secure", f"sip:127.0.0.1:{tls_port}\\;transport=tls", "127.0.0.1", "media_encryption = sdes")
        carrier.start(account("acc") + secure, {**theirs, "sip_tls_port": carrier.tls_port})
        trunks = [
            {
                "name": "registered", "uri": f"sip:127.0.0.9:{carrier.port}", "username": "acc", "register": True,
                "from_user": "acc", "caller_id_header": "pai",
            },
            {
                "name": "secure", "uri": f"sip:127.0.0.9:{carrier.tls_port};transport=tls",
                "addresses": ["127.0.0.9"], "media_encryption": "sdes", "caller_id_header": "pai",
            },
            {"name": "plain", "uri": f"sip:127.0.0.9:{carrier.port}", "addresses": [CALLER]},
        ]  # fmt: skip
        system = System(
            trunks=trunks, trunk_passwords={"registered": PASSWORD}, sip_tls_port=tls_port, longest_call=60, **ours
        )
        yield Pair(up.enter_context(system), carrier)


def call_through(pair: Pair, trunk: str, caller_over: str) -> str:
    """Makes a call both ways, from the carrier to a hidden number at the carrier. Returns what the latter saw."""
    booked = pair.ours.book("LARGE")
    pair.ours.asterisk_console(
        f"dialplan set global RN_PHONE_{booked.destination[1:]} {booked.destination}@trunk-{trunk}"
    )
    if caller_over == "acc":
        pair.carrier.until(lambda: "sip:" in pair.carrier.console("pjsip show aor acc"), "the line is registered")
        pair.carrier.dial_registered(booked.service, "acc")
    else:
        pair.carrier.dial(booked.service, caller_over)
    first, second = pair.carrier.wait_up(2)
    try:
        return next(seen for each in (first, second) if (seen := _seen(pair.carrier, each)))
    finally:
        pair.carrier.hang_up()
        assert [cdr["disposition"] for cdr in booked.wait_settled()] == ["ANSWERED"]


def _seen(carrier: AsteriskCarrier, channel: str) -> str:
    try:
        return carrier.seen(channel)
    except ValueError:
        return ""


def test_a_registered_line_carries_calls_in_and_out(pair: Pair) -> None:
    assert call_through(pair, "registered", "acc").endswith("by acc")


def test_a_trunk_with_tls_and_srtp_carries_calls_in_and_out(pair: Pair) -> None:
    assert call_through(pair, "secure", "secure").endswith("by secure")


@pytest.mark.parametrize(("trunk", "caller_over"), [("registered", "secure"), ("secure", "acc")])
def test_a_call_crosses_from_one_trunk_to_the_other(pair: Pair, trunk: str, caller_over: str) -> None:
    call_through(pair, trunk, caller_over)


@pytest.mark.parametrize("trunk", ["registered", "secure"])
@pytest.mark.parametrize("privacy", ["none", "id"])
def test_neither_side_learns_of_the_other_more_than_it_may(pair: Pair, trunk: str, privacy: str) -> None:
    """The callee's Asterisk tells its number in every header that it has; the caller may withhold its own."""
    booked = pair.ours.book("LARGE")
    hidden = booked.destination
    pair.ours.asterisk_console(f"dialplan set global RN_PHONE_{hidden[1:]} {hidden}@trunk-{trunk}")
    with Stage() as stage:
        peer = stage.run(Peer.open(CALLER))
        media = stage.run(_media(CALLER))

        async def call() -> Dialog:
            dialog = await peer.dialog(booked.service, ("127.0.0.1", pair.ours.settings.sip_port), source=SOURCE)
            dialog.sound = sdp(media.local)
            await dialog.answered(dialog.request("INVITE", [f"Privacy: {privacy}"], dialog.sound))
            return dialog

        async def end(dialog: Dialog) -> None:
            await dialog.answered(dialog.request("BYE"))
            media.close()
            await peer.close()

        dialog = stage.run(call())
        [channel] = pair.carrier.wait_up(1)
        seen = pair.carrier.console(f"core show channel {channel}")
        stage.run(end(dialog))
        pair.carrier.until(lambda: pair.carrier.channels() == [], "no channel is left")
    shown = Shown(dialog.received, media.received, media.reports, None)
    secret = Secret(hidden, (booked.service, SOURCE), ("127.0.0.9", pair.carrier.port))
    assert dialog.messages[-1].status == 200
    assert [each for each in leaks(shown, secret) if "sound before" not in each] == []
    assert hidden[-9:] in seen
    assert (SOURCE[-9:] in seen) == (privacy == "none")
    assert booked.service[-9:] not in seen


async def _media(host: str) -> Media:
    return Media.open(host)


def test_a_trunk_with_ipv6_addresses_carries_calls_in_and_out(tmp_path: Path) -> None:
    port = free_port()
    with AsteriskCarrier("::1") as carrier:
        carrier.start(static("six", f"sip:[::1]:{port}", "::1", "rtp_ipv6 = yes"))
        trunk = {"name": "six", "uri": f"sip:[::1]:{carrier.port}", "addresses": ["::1"]}
        with System(trunks=[trunk], sip_host="::1", sip_port=port, longest_call=60) as ours:
            assert call_through(Pair(ours, carrier), "six", "six").endswith("by six")
