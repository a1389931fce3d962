"""Over TLS a receiver must be who its URL says: only then does a callback go out."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.callbacks.connector import tls_of_this_machine
from engine.domain.retry import Answered, NotAnswered, Trouble
from tests.integration.callback_receiver import CallbackReceiver
from tests.integration.callback_sending import send

CERTIFICATES = Path(__file__).parent / "tls"
CLIENT = tls_of_this_machine()
AUTHORITY = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))


@asynccontextmanager
async def receiver_with(certificate: str, **options: ssl.TLSVersion) -> AsyncIterator[CallbackReceiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
    for name, value in options.items():
        setattr(context, name, value)
    async with CallbackReceiver(tls=context) as receiver:
        yield receiver


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
async def test_a_good_certificate_is_taken(host: str) -> None:
    async with receiver_with("good") as receiver:
        assert await send(receiver.url_on(host), tls=AUTHORITY) == Answered(204)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("certificate", ["wrong_host", "expired", "not_yet_valid", "unknown_authority", "self_signed"])
async def test_a_bad_certificate_gets_nothing(certificate: str, host: str) -> None:
    async with receiver_with(certificate) as receiver:
        assert await send(receiver.url_on(host), tls=AUTHORITY) == NotAnswered(Trouble.TLS)
        assert receiver.requests == []


async def test_an_authority_that_the_machine_does_not_know_gets_nothing() -> None:
    """Nobody but the tests hands over an authority of their own."""
    async with receiver_with("good") as receiver:
        assert await send(receiver.url) == NotAnswered(Trouble.TLS)
        assert receiver.requests == []


async def test_plain_http_on_the_port_of_https_gets_nothing() -> None:
    async with CallbackReceiver() as receiver:
        assert await send(receiver.url.replace("http:", "https:"), tls=AUTHORITY) == NotAnswered(Trouble.TLS)
        assert receiver.requests == []


def test_nothing_before_tls_1_2_is_spoken() -> None:
    """Where OpenSSL offers less by default, an old receiver would be met with it."""
    assert CLIENT.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert CLIENT.check_hostname
    assert CLIENT.verify_mode is ssl.CERT_REQUIRED
