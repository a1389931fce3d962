"""Services: what sessions have in common.

A command locks the service first, then a session's booking, and the account last: the path of a call locks a booking
and then, near the account's limit of calls, the account. Two commands that lock in different orders could wait for each
other.
"""

from dataclasses import dataclass, replace

from engine.domain.errors import NotFound
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.domain.twilio_proxy import NAME_NOT_UNIQUE, ProxyRefusal, ProxyService
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction

# Of one account.
MAX_SERVICES = 100


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """Changes to a service. A field that is None stays unchanged."""

    unique_name: str | None = None
    default_ttl: int | None = None
    callback_url: str | None = None
    out_of_session_callback_url: str | None = None


def create_service(
    tx: Transaction, account_id: AccountId, unique_name: str, fields: ServiceChange, now: EpochMs
) -> ProxyService:
    """Creates a service.

    Raises:
        ProxyRefusal: Another service of the account has its name, or the account has too many.
    """
    tx.accounts.lock(account_id)
    _check_name(tx, account_id, unique_name)
    if tx.twilio_proxy.count_services(account_id) >= MAX_SERVICES:
        raise ProxyRefusal(403, 403, f"An account may have up to {MAX_SERVICES} Services.")
    service = ProxyService(
        id=new_id("psv"),
        account_id=account_id,
        unique_name=unique_name,
        default_ttl=fields.default_ttl or 0,
        callback_url=fields.callback_url or "",
        out_of_session_callback_url=fields.out_of_session_callback_url or "",
        created_at=now,
        updated_at=now,
    )
    tx.twilio_proxy.insert_service(service)
    return service


def change_service(
    tx: Transaction, account_id: AccountId, service_id: str, changes: ServiceChange, now: EpochMs
) -> ProxyService:
    """Changes a service.

    Raises:
        NotFound: The account has no such service.
        ProxyRefusal: Another service of the account has the new name.
    """
    service = locked_service(tx, account_id, service_id)
    if changes.unique_name is not None and changes.unique_name != service.unique_name:
        tx.accounts.lock(account_id)  # two services at once must not get one name
        _check_name(tx, account_id, changes.unique_name)
    sent = {name: getattr(changes, name) for name in changes.__dataclass_fields__}
    changed = replace(service, updated_at=now, **{name: value for name, value in sent.items() if value is not None})
    tx.twilio_proxy.update_service(changed)
    return changed


def delete_service(tx: Transaction, account_id: AccountId, service_id: str) -> None:
    """Deletes a service.

    Raises:
        NotFound: The account has no such service.
        ProxyRefusal: It has sessions.
    """
    service = locked_service(tx, account_id, service_id)
    if tx.twilio_proxy.has_sessions(service.id):
        raise ProxyRefusal(409, 409, "The Service has Sessions. Delete these first.")
    tx.twilio_proxy.delete_service(service.id)


def locked_service(tx: Transaction, account_id: AccountId, service_id: str) -> ProxyService:
    """Returns a service of the account. Until the transaction ends, no other one changes it or its sessions.

    Raises:
        NotFound: The account has no such service.
    """
    service = tx.twilio_proxy.service(account_id, service_id)
    if service is None:
        raise NotFound("there is no such service")
    return service


def _check_name(tx: Transaction, account_id: AccountId, unique_name: str) -> None:
    if tx.twilio_proxy.service_named(account_id, unique_name) is not None:
        raise ProxyRefusal(409, NAME_NOT_UNIQUE, "Service UniqueName must be unique.")
