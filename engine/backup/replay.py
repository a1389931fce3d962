"""What a restored database lost: withdraws again what was withdrawn since the backup, and keeps numbers back.

Everything here is a plain function over a transaction, but for the erasure, which takes many.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from engine.bookings.closing import revoke_all_keys
from engine.bookings.endings import end_for_good
from engine.callbacks.secrets import new_secret, secret_digest
from engine.calls.lifecycle import call_ended
from engine.calls.reconciliation import settle_vanished
from engine.calls.reports import BadReport, EndReport, ReportReader
from engine.domain.caller_digests import person_digest
from engine.domain.ids import AccountId, BookingId
from engine.domain.metering import CallState
from engine.domain.numbers import E164
from engine.domain.policy import Policy
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs, Timestamp
from engine.privacy.erasure import erase, forget_reached
from engine.storage.interface import Storage
from engine.storage.revocations import Entry, Kind
from engine.storage.transaction import Transaction

# The wall clock may have been set in between: what was changed this long before the backup counts as changed after it.
CLOCK_MARGIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Losses:
    """What a restore must make up for.

    Attributes:
        entries: The revocation log.
        ends: Reports of ends in the end spool; those without a right MAC are ignored.
        backup_at: When the backup's database was read.
        at: Now.
        policy: The operator's rules.
    """

    entries: Collection[Entry]
    ends: Iterable[str]
    backup_at: EpochMs
    at: Timestamp
    policy: Policy


def make_up_for(tx: Transaction, losses: Losses, reader: ReportReader) -> Mapping[str, int]:
    """Settles calls, withdraws what was withdrawn, and quarantines numbers. Returns how many of each."""
    done = Counter[str]()
    done += _settle_calls(tx, losses, reader)
    by_kind = {kind: [each for each in losses.entries if each.kind is kind] for kind in Kind}
    done += _set_account_states(tx, losses.entries)
    done["keysRevoked"] += sum(_revoke_key(tx, each) for each in by_kind[Kind.KEY])
    done["bookingsEnded"] = sum(_end_booking(tx, each, losses) for each in by_kind[Kind.BOOKING])
    changed = by_kind[Kind.DESTINATION] + by_kind[Kind.SERVICE]
    done["bookingsPaused"] = sum(_pause_booking(tx, each, losses) for each in changed)
    done["webSessionsEnded"] = tx.web_access.end_all(losses.at.wall_ms)
    done["secretsReplaced"] = _replace_secrets(tx, {each.subject for each in by_kind[Kind.SECRET]})
    hold_until = EpochMs(losses.at.wall_ms + losses.policy.quarantine_ms)
    done["numbersQuarantined"] = tx.restores.quarantine_numbers(hold_until)
    tx.restores.insert(losses.at.wall_ms, losses.backup_at, hold_until)
    return done


def _settle_calls(tx: Transaction, losses: Losses, reader: ReportReader) -> Counter[str]:
    """Settles every call that was up: by its end in the spool, else as a lost one, up to when it was seen last."""
    done, up = Counter[str](), tx.restores.calls_up()
    settled = []
    for line in losses.ends:
        try:
            report = reader.read(line)
        except BadReport:
            continue
        if isinstance(report, EndReport) and report.call_id in up:
            settled.append(call_ended(tx, report, losses.at, losses.policy, late=True))
    settled += settle_vanished(tx, tx.restores.calls_up(), losses.at.wall_ms, losses.policy)
    for each in settled:
        if each is not None:
            call = tx.calls.by_id(each.cdr.call_id)
            done["callsVoided" if call and call.state is CallState.VOIDED else "callsSettled"] += 1
    return done


def _revoke_key(tx: Transaction, entry: Entry) -> bool:
    return tx.accounts.revoke_key(entry.subject, entry.at)


def _set_account_states(tx: Transaction, entries: Iterable[Entry]) -> Counter[str]:
    """Gives each account its latest state, and revokes the keys of closed ones, whose bookings end in a sweep.

    The log is in the order of events, and has every suspension and every resumption since the backup.
    """
    done = Counter[str]()
    latest = {each.subject: each for each in entries if each.kind in {Kind.SUSPENDED, Kind.RESUMED}}
    for subject, entry in latest.items():
        account = tx.accounts.by_id(AccountId(subject))
        if account is None or account.closed_at is not None:
            continue
        if entry.kind is Kind.SUSPENDED and account.suspended_at is None:
            tx.accounts.suspend(account.id, None, entry.at)
            done["accountsSuspended"] += 1
        elif entry.kind is Kind.RESUMED and account.suspended_at is not None:
            tx.accounts.resume(account.id)
            done["accountsResumed"] += 1
    for entry in entries:
        if entry.kind is Kind.CLOSED and tx.accounts.close(AccountId(entry.subject), entry.at):
            done["accountsClosed"] += 1
            done["keysRevoked"] += revoke_all_keys(tx, AccountId(entry.subject), entry.at)
    return done


def _end_booking(tx: Transaction, entry: Entry, losses: Losses) -> bool:
    """Ends a booking that ended since. Its customer got the callback then, so none is posted."""
    booking = tx.bookings.by_id(BookingId(entry.subject))
    if booking is None or booking.gone_at is not None:
        return False
    gone, _ = end_for_good(tx, booking, losses.at.wall_ms, losses.policy)
    tx.bookings.update(gone)
    tx.blocked.delete_all(booking.id)
    return True


def _pause_booking(tx: Transaction, entry: Entry, losses: Losses) -> bool:
    """Pauses a booking whose hidden or rented number was changed since.

    The hidden number in the backup must not be called any more, and no call to the rented one may be put through.
    """
    booking = tx.bookings.by_id(BookingId(entry.subject))
    is_older = entry.at < losses.backup_at - CLOCK_MARGIN_MS
    if booking is None or booking.gone_at is not None or booking.paused or is_older:
        return False
    tx.bookings.update(replace(booking, paused=True))
    return True


def _replace_secrets(tx: Transaction, withdrawn: Collection[str]) -> int:
    """Gives a new secret to each account whose secret was replaced since: the one that followed is lost."""
    accounts = [AccountId(row["id"]) for row in tx.accounts.all()] if withdrawn else []
    stale = [each for each in accounts if secret_digest(tx.webhook_secrets.of(each).present) in withdrawn]
    for account_id in stale:
        tx.webhook_secrets.rotate(account_id, new_secret(), old_until=0)
    return len(stale)


async def erase_again(storage: Storage, losses: Losses, pepper: str) -> tuple[int, list[str]]:
    """Erases the numbers that were erased since.

    Returns:
        How many of them the backup had, and descriptions of what still contains one because only its owner may change
        it.
    """
    erased = {each.subject for each in losses.entries if each.kind is Kind.NUMBER}
    if not erased:
        return 0, []

    def find(tx: Transaction) -> set[E164]:
        return {each for each in tx.restores.numbers_anywhere() if person_digest(pepper, each) in erased}

    found = await storage.run(find)
    remaining = list[str]()
    for number in sorted(found):
        done = await erase(storage, Spellings(number), losses.at.wall_ms, losses.policy, pepper)
        remaining += [*done.remaining, *(f"similar digits in {place}" for place in done.unsure)]
    # Of a number that stands nowhere in the backup, the callers of rented numbers may still have a digest.
    await forget_reached(storage, erased)
    return len(found), remaining
