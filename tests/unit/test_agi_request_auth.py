"""Which AGI requests are authentic: the MAC of a configured token, and nothing else."""

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agi_scripts.request_auth import request_mac, token_of

TOKENS = ("Zx81Qk-7rTnb_W3mLp9Ydv0c", "another-token-0123456789")
REQUEST = ("rn0-1.1", "route", ("+3225550001", "", "allowed"))
WORDS = st.text(st.one_of(st.sampled_from(",rn0-7."), st.characters(exclude_categories=["Cs"])), max_size=20)


def test_a_request_mac_equals_what_the_dialplan_computes() -> None:
    text = f"{TOKENS[0]},rn0-1.1,route,+3225550001,,allowed"
    assert request_mac(TOKENS[0], *REQUEST) == hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  what Asterisk has


@pytest.mark.parametrize(
    ("tokens", "mac", "authentic"),
    [
        *[(TOKENS, request_mac(token, *REQUEST), True) for token in TOKENS],
        *[(TOKENS, mac, False) for mac in ("", "x", "é", TOKENS[0])],
        *[(TOKENS, request_mac(token, *REQUEST), False) for token in ("no token of ours", "")],
        ((), request_mac("", *REQUEST), False),
    ],
)
def test_only_a_mac_by_a_configured_token_is_authentic(tokens: tuple[str, ...], mac: str, *, authentic: bool) -> None:
    token = token_of(tokens, mac, *REQUEST)
    assert token == (next(each for each in tokens if request_mac(each, *REQUEST) == mac) if authentic else None)


@example("rn0-7.7", "ended", ["rn0-7.7,1000", "ANSWER"])
@example("rn0-7.7,ended", "rn0-7.7", ["1000", "ANSWER"])
@example("rn0-7.7", "ended", ["rn0-7.7", "1000", "ANSWER"])
@given(WORDS, st.sampled_from(["route", "answered", "ended"]), st.lists(WORDS, max_size=4))
def test_a_mac_is_valid_for_its_own_request_only(unique_id: str, script: str, arguments: list[str]) -> None:
    seen = request_mac(TOKENS[0], "rn0-7.7", "ended", ("rn0-7.7", "1000", "ANSWER"))
    other = (unique_id, script, arguments)
    assert (token_of(TOKENS, seen, *other) is not None) is (
        other == ("rn0-7.7", "ended", ["rn0-7.7", "1000", "ANSWER"])
    )
