"""The headers with which a receiver verifies a callback."""

import base64
import os
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from engine.callbacks.signing import signature_headers
from engine.domain.times import EpochMs

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_of_the_standards_example_is_the_same() -> None:
    body = '{"test": 2432232314}'
    headers = signature_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", (SECRET,), body, EpochMs(1614265330_999))
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_signature_verifies_in_every_time_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        headers = signature_headers("evt_1", (SECRET,), '{"é": "☎"}', EpochMs(time.time_ns() // 1_000_000))
        assert Webhook(SECRET).verify('{"é": "☎"}'.encode(), headers) == {"é": "☎"}
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(b"{}", headers)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_every_allowed_size_signs(size: int) -> None:
    secret = "whsec_" + base64.b64encode(os.urandom(size)).decode()
    headers = signature_headers("evt_1", (secret,), "{}", EpochMs(time.time_ns() // 1_000_000))
    assert Webhook(secret).verify(b"{}", headers) == {}
