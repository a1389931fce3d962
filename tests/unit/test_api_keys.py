"""How an API key is stored."""

import hashlib
import hmac

from engine.accounts.keys import key_digest


def test_a_key_is_stored_only_as_a_keyed_digest() -> None:
    assert key_digest("rn_live_x", "pepper") == hmac.digest(b"pepper", b"rn_live_x", hashlib.sha256).hex()


def test_another_key_or_another_pepper_gives_another_digest() -> None:
    assert len({key_digest(key, pepper) for key in ("a", "b") for pepper in ("p", "q")}) == 4
