"""A callback is sent only to a receiver whose certificate matches its URL."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from engine.callbacks.connector import tls_of_this_machine
from engine.domain.retry import HttpAnswer, NoAnswer, Trouble
from tests.integration.callback_receiver import CallbackReceiver
from tests.integration.callback_sending import send

CLIENT = tls_of_this_machine()
NAMES = ("localhost", "127.0.0.1")
TODAY = datetime.now(UTC).replace(tzinfo=None)
YEAR = timedelta(days=365)

CA, OTHER_CA = trustme.CA(), trustme.CA()
GOOD = CA.issue_cert(*NAMES)
BAD = {
    "wrong host": CA.issue_cert("receiver.example"),
    "expired": CA.issue_cert(*NAMES, not_before=TODAY - 2 * YEAR, not_after=TODAY - YEAR),
    "not yet valid": CA.issue_cert(*NAMES, not_before=TODAY + YEAR, not_after=TODAY + 2 * YEAR),
    "unknown authority": OTHER_CA.issue_cert(*NAMES),
}
AUTHORITY = ssl.create_default_context()
CA.configure_trust(AUTHORITY)


@asynccontextmanager
async def receiver_with(certificate: trustme.LeafCert) -> AsyncIterator[CallbackReceiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    async with CallbackReceiver(tls=context) as receiver:
        yield receiver


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
async def test_a_good_certificate_is_accepted(host: str) -> None:
    async with receiver_with(GOOD) as receiver:
        assert await send(receiver.url_on(host), tls=AUTHORITY) == HttpAnswer(204)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_certificate_gets_nothing(fault: str, host: str) -> None:
    async with receiver_with(BAD[fault]) as receiver:
        assert await send(receiver.url_on(host), tls=AUTHORITY) == NoAnswer(Trouble.TLS)
        assert receiver.requests == []


async def test_an_unknown_authority_gets_nothing() -> None:
    """Only tests pass an authority of their own."""
    async with receiver_with(GOOD) as receiver:
        assert await send(receiver.url) == NoAnswer(Trouble.TLS)
        assert receiver.requests == []


async def test_a_self_signed_certificate_gets_nothing() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with OTHER_CA.cert_pem.tempfile() as certificate, OTHER_CA.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    async with CallbackReceiver(tls=context) as receiver:
        assert await send(receiver.url, tls=AUTHORITY) == NoAnswer(Trouble.TLS)
        assert receiver.requests == []


async def test_plain_http_on_an_https_port_gets_nothing() -> None:
    async with CallbackReceiver() as receiver:
        assert await send(receiver.url.replace("http:", "https:"), tls=AUTHORITY) == NoAnswer(Trouble.TLS)
        assert receiver.requests == []


def test_versions_before_tls_1_2_are_refused() -> None:
    """Some builds of OpenSSL allow older versions by default."""
    assert CLIENT.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert CLIENT.check_hostname
    assert CLIENT.verify_mode is ssl.CERT_REQUIRED
