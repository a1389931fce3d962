"""The order in which accounts' callbacks are lined up."""

from engine.callbacks.due_accounts import DueAccounts
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")


def noted(*notes: tuple[AccountId, int]) -> DueAccounts:
    due = DueAccounts()
    for account_id, due_at in notes:
        due.note(account_id, EpochMs(due_at))
    return due


def test_accounts_come_when_they_are_due_the_earliest_first() -> None:
    due = noted((A, 30), (B, 10), (C, 20))
    assert due.next_due_at() == 10
    assert due.take(EpochMs(9), 10) == []
    assert due.take(EpochMs(25), 10) == [B, C]
    assert due.take(EpochMs(25), 10) == []
    assert due.next_due_at() == 30


def test_the_earliest_note_of_an_account_counts() -> None:
    due = noted((A, 30), (A, 10), (A, 20))
    assert due.take(EpochMs(30), 10) == [A]
    assert (due.take(EpochMs(30), 10), due.next_due_at()) == ([], None)


def test_an_account_with_a_backlog_is_noted_anew_and_waits_for_its_next_turn() -> None:
    due = noted((A, 10), (B, 11), (C, 12))
    order = []
    for now in range(20, 26):
        [account_id] = due.take(EpochMs(now), 1)
        order.append(account_id)
        due.note(account_id, EpochMs(now))
    assert order == [A, B, C, A, B, C]
