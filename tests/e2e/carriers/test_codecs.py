"""Which codec the two sides of a call get: the same where both have one in common that comes first, else converted."""

import re

import pytest

from phones.messages import Message
from phones.peer import Address, Body
from tests.e2e.carriers.system import CarrierSystem, Describe, Line
from tests.e2e.carriers.variants import VARIANTS

TYPES = {"alaw": (8, "PCMA/8000"), "ulaw": (0, "PCMU/8000"), "g722": (9, "G722/8000"), "g729": (18, "G729/8000"),
         "opus": (107, "opus/48000/2")}  # fmt: skip
NAMES = {encoding: name for name, (_, encoding) in TYPES.items()}
NATIVE = re.compile(r"NativeFormats: \((.*)\)")
CHANNEL = re.compile(r"^PJSIP/(\S+)-([0-9a-f]{8})!", re.MULTILINE)
ALL = ["alaw", "ulaw", "g722", "opus", "g729"]

# The trunk, what the caller offers, what the callee has, and the codec of each side; None if the call is refused.
CALLS = [
    ("from", ["ulaw", "alaw"], ALL, ("alaw", "alaw")),
    ("from", ["ulaw"], ["ulaw"], ("ulaw", "ulaw")),
    ("from", ["opus", "g722", "alaw"], ["alaw"], ("alaw", "alaw")),
    ("from", ["g729", "alaw"], ["alaw"], ("alaw", "alaw")),
    ("from", ["opus"], ALL, ("opus", "opus")),
    ("from", ["g722"], ["g722"], ("g722", "g722")),
    ("from", ["g729"], ["g729", "alaw"], ("g729", "g729")),
    # Converted, because the two have nothing in common.
    ("from", ["opus"], ["alaw"], ("opus", "alaw")),
    ("from", ["g722"], ["ulaw"], ("g722", "ulaw")),
    ("from", ["alaw"], ["opus"], ("alaw", "opus")),
    # Nothing in common, and no converter.
    ("from", ["g729"], ["alaw"], None),
    # A trunk with an order of its own.
    ("wideband", ["alaw", "g722"], ["alaw", "g722"], ("g722", "g722")),
    ("wideband", ["opus"], ["opus"], None),
]


def telephone(codecs: list[str], offered: list[str] | None = None) -> Describe:
    """A telephone that has these codecs; it answers an offer with the first of its own among them."""

    def describe(media: Address) -> Body:
        chosen = codecs if offered is None else [each for each in offered if each in codecs][:1]
        host, port = media
        types = " ".join(str(TYPES[each][0]) for each in chosen)
        lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m=audio {port} RTP/AVP {types}"]
        lines += [f"a=rtpmap:{TYPES[each][0]} {TYPES[each][1]}" for each in chosen]
        return Body("".join(f"{line}\r\n" for line in lines).encode())

    return describe


def offered_in(invite: Message) -> list[str]:
    """The codecs of an offer, in its order."""
    [types] = re.findall(r"^m=audio \d+ \S+ (.*)$", invite.text, re.MULTILINE)
    names = dict(re.findall(r"^a=rtpmap:(\d+) (\S+)$", invite.text, re.MULTILINE))
    return [NAMES[names[each]] for each in types.split() if names.get(each) in NAMES]


@pytest.mark.parametrize(("trunk", "offer", "callee", "expected"), CALLS)
def test_both_sides_have_the_same_codec_where_they_can(
    carrier_system: CarrierSystem,
    on: Line,
    trunk: str,
    offer: list[str],
    callee: list[str],
    expected: tuple[str, str] | None,
) -> None:
    [variant] = [each for each in VARIANTS if each.name == trunk]
    booked = carrier_system.book_over(variant)
    plain = on.carrier.describe

    def answer(media: Address) -> Body:
        return telephone(callee, offered_in(on.invite(booked.destination)))(media)

    on.carrier.describe = answer
    try:
        dialog, final = on.call(variant, booked.service, describe=telephone(offer))
    finally:
        on.carrier.describe = plain
    if expected is None:
        assert final.status != 200
        assert [call["duration"] for call in booked.calls] in ([], [0])
        return
    assert final.status == 200
    natives = _natives(carrier_system)
    on.hang_up(dialog)
    booked.wait_settled()
    assert (natives[f"carrier-{trunk}"], natives[f"trunk-{trunk}"]) == expected
    # What is offered first to the callee is what the caller has.
    assert offered_in(on.invite(booked.destination))[0] == expected[0]


def _natives(system: CarrierSystem) -> dict[str, str]:
    """The codec of each endpoint that is in a call."""
    channels = re.findall(
        r"^PJSIP/(\S+)-([0-9a-f]{8})!", system.asterisk_console("core show channels concise"), re.MULTILINE
    )
    return {
        endpoint: NATIVE.findall(system.asterisk_console(f"core show channel PJSIP/{endpoint}-{number}"))[0]
        for endpoint, number in channels
    }
