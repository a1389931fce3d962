"""Erasure of a person's number from every table, as caller and as destination. The engine may run meanwhile.

Records, calls and callbacks lose only the number, so the books still add up. Bookings with the number as destination
are ended as by DELETE, and the engine's next sweep hangs up their live calls. A live call from the number continues,
and is recorded without the number.

The number is found in all its spellings (see engine/domain/spellings.py). It is removed where it surely is this number;
similar digits stay, and their places are listed.

Each transaction ends after some milliseconds, so the engine can write in between, and memory holds a few rows. A run
that was interrupted is finished by another run: what is erased already is not found again.
"""

import asyncio
import time
from collections.abc import Collection

from engine.domain.caller_digests import person_digest, reached_digest
from engine.domain.errors import InvalidInput
from engine.domain.numbers import E164, is_e164
from engine.domain.policy import Policy
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs
from engine.privacy.erasure_steps import STEPS, Step, Task
from engine.privacy.findings import Findings
from engine.storage.erasure import Key
from engine.storage.interface import Storage
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction

# How long one transaction searches.
SEARCH_SECONDS = 0.02
# The pause after each transaction, as a multiple of its duration. SQLite does not queue writers: without the pause the
# engine might wait for a long time.
PAUSE = 3.0
# Last digits of the number by which the database itself skips other numbers.
TAIL = 4
# Callers of rented numbers that one transaction of a restore compares.
REACHED_PAGE = 500


def check(tx: Transaction, number: E164) -> Spellings:
    """Returns the spellings of a number that may be erased.

    Raises:
        InvalidInput: The number is not E.164, or is one of the rented numbers.
    """
    if not is_e164(number):
        raise InvalidInput(["not an E.164 number, such as +3225551234"])
    if tx.numbers.is_ours(number):
        raise InvalidInput(["this is a rented number, not a person's number: nothing was erased"])
    return Spellings(number)


async def erase(storage: Storage, spellings: Spellings, now: EpochMs, policy: Policy, pepper: str) -> Findings:
    """Erases the number from every table, in short transactions.

    The revocation log has the number's digest before anything is erased, so that a restore erases it again.

    Args:
        storage: The database.
        spellings: The number.
        now: The present time.
        policy: The operator's rules.
        pepper: The secret with which digests are made.

    Raises:
        StorageError: The database failed. Another run finishes the erasure.
    """
    digest = person_digest(pepper, spellings.number)
    await storage.run(lambda tx: tx.withdraw(Kind.NUMBER, digest))
    task, findings = Task(spellings, now, policy, digest), Findings()
    for step in STEPS:
        findings.removed[step.kind] += 0
        after: Key | None = Key()
        while after is not None:
            began = time.monotonic()
            after, found = await storage.run(erase_some, step, after, task)
            findings.add(found)
            await asyncio.sleep(PAUSE * (time.monotonic() - began))
    return findings


def erase_some(tx: Transaction, step: Step, after: Key, task: Task) -> tuple[Key | None, Findings]:
    """Runs a step over the rows after a key, for `SEARCH_SECONDS`.

    Returns:
        The key of the last row, None at the table's end, and what was found.
    """
    findings, deadline = Findings(), time.monotonic() + SEARCH_SECONDS
    while True:
        rows = tx.erasure.page(step.table, after, step.page, task.spellings.number[-TAIL:])
        for row in rows:
            findings.removed[step.kind] += step.erase_row(tx, row, task, findings)
            findings.searched[step.table] += 1
            after = Key(row["key"], row["key_2"])
            if time.monotonic() > deadline:
                return after, findings
        if len(rows) < step.page:
            return None, findings


async def forget_reached(storage: Storage, persons: Collection[str]) -> None:
    """Deletes persons from the callers who have reached rented numbers. All that is known of them is their digests.

    Raises:
        StorageError: The database failed.
    """
    after: Key | None = Key()
    while after is not None:
        after = await storage.run(_forget_some_reached, after, persons)


def _forget_some_reached(tx: Transaction, after: Key, persons: Collection[str]) -> Key | None:
    rows = tx.erasure.page("reached_callers", after, REACHED_PAGE, "")
    for row in rows:
        service = E164(row["key"])
        if any(row["key_2"] == reached_digest(person, service) for person in persons):
            tx.reached_callers.delete(service, row["key_2"])
    return Key(rows[-1]["key"], rows[-1]["key_2"]) if len(rows) == REACHED_PAGE else None
