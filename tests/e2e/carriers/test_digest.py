"""Carriers that ask for a user name and a password: every way to ask works, and no secret is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from phones.peer import Account
from tests.e2e.carriers.system import CarrierSystem, Line
from tests.e2e.carriers.variants import PASSWORD, VARIANTS

[USER] = [variant for variant in VARIANTS if variant.name == "user"]
[REALM] = [variant for variant in VARIANTS if variant.name == "realm"]
# Asterisk answers this many challenges, right or wrong, before it gives up.
ASTERISKS_TRIES = 10
KNOWN = Account("acc-1", PASSWORD)


@contextmanager
def asking(on: Line, account: Account) -> Iterator[Account]:
    """Inside its `with`, the carrier asks for this account."""
    before, on.carrier.account_of = on.carrier.account_of, lambda _: account
    try:
        yield account
    finally:
        on.carrier.account_of = before


def call(system: CarrierSystem, on: Line, account: Account, variant: Any = USER) -> int | None:
    booked = system.book_over(variant)
    with asking(on, account):
        dialog, final = on.call(variant, booked.service)
        if final.status == 200:
            on.hang_up(dialog)
    booked.wait_settled()
    return final.status


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("realm", ["carrier.example", "another realm"])
def test_a_call_proves_itself_however_the_carrier_asks(
    carrier_system: CarrierSystem, on: Line, status: int, algorithm: str, realm: str
) -> None:
    account = replace(KNOWN, status=status, algorithm=algorithm, realm=realm, nonces=set())
    assert call(carrier_system, on, account) == 200
    assert account.tries == 1


def test_a_nonce_that_has_become_stale_is_replaced(carrier_system: CarrierSystem, on: Line) -> None:
    class Forgetful(Account):
        """A carrier that no longer knows the first nonce when the credentials arrive."""

        def accepts(self, request: Any) -> bool:
            if self.tries == 0 and self._given(request):
                self.nonces.clear()
            return super().accepts(request)

    account = Forgetful("acc-1", PASSWORD)
    assert call(carrier_system, on, account) == 200
    assert account.tries == 2


@pytest.mark.parametrize(("realm", "status"), [("carrier.example", 200), ("another realm", 503)])
def test_a_trunk_with_a_realm_gives_its_password_to_no_other(
    carrier_system: CarrierSystem, on: Line, realm: str, status: int
) -> None:
    account = replace(KNOWN, realm=realm, nonces=set())
    assert call(carrier_system, on, account, REALM) == status
    assert account.tries == (1 if status == 200 else 0)


def test_a_wrong_password_fails_the_call_at_once_and_shows_it_nowhere(carrier_system: CarrierSystem, on: Line) -> None:
    account = replace(KNOWN, password="another", nonces=set())
    assert call(carrier_system, on, account) == 503
    assert account.tries <= ASTERISKS_TRIES
    assert PASSWORD[:4] not in carrier_system.asterisk_log + carrier_system.engine_log
