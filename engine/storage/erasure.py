"""The tables as erasure uses them: all rows in order, some at a time, and changes of single rows."""

from collections.abc import Mapping
from typing import NamedTuple

from engine.storage.table import Row, Table

# The columns of calls and call records that may hold a number.
CALL_COLUMNS = ("source", "destination", "sip_call_id")


class Key(NamedTuple):
    """The primary key of a row: one column or two. The default comes before all rows."""

    first: str = ""
    second: str | int = ""


class ErasureTables(Table):
    """Reads every row that may hold a telephone number, and replaces what holds one."""

    def page(self, table: str, after: Key, limit: int, tail: str) -> list[Row]:
        """Returns the next rows of a table in the order of their keys.

        Args:
            table: The table.
            after: The key of the last row of the page before.
            limit: The most rows to return.
            tail: The last digits of the number. Calls and records with other numbers are returned without them, which
                saves most of the search in the largest tables.
        """
        read = getattr(self._sql, f"{table}_to_search")
        if table in {"calls", "cdrs"}:
            rows: list[Row] = read(self._db, after=after.first, at_most=limit, tail=tail)
        elif table == "callback_attempts":
            rows = read(self._db, after=after.first, after_2=after.second or 0, at_most=limit)
        elif table in {"kept_answers", "blocked_callers", "pair_callers", "reached_callers"}:
            rows = read(self._db, after=after.first, after_2=after.second, at_most=limit)
        else:
            rows = read(self._db, after=after.first, at_most=limit)
        return rows

    def erase_from_call(self, call_id: str, holding: Mapping[str, bool]) -> None:
        """Erases those columns of a call that hold the number: each of CALL_COLUMNS is a key.

        A transaction that ends the call at the same time has written its record by then, or finds the number erased.
        """
        self._sql.lock_booking_of_call(self._db, call_id=call_id)
        self._sql.set_call_numbers(self._db, id=call_id, **holding)

    def erase_from_record(self, cdr_id: str, holding: Mapping[str, bool]) -> None:
        """Erases those columns of a call record that hold the number: each of CALL_COLUMNS is a key."""
        self._sql.set_cdr_numbers(self._db, id=cdr_id, **holding)

    def set_reason(self, grant_id: str, reason: str) -> None:
        """Replaces a grant's reason."""
        self._sql.set_grant_reason(self._db, id=grant_id, reason=reason)

    def set_suspended_reason(self, account_id: str, reason: str) -> None:
        """Replaces the reason why an account is suspended."""
        self._sql.set_suspended_reason(self._db, id=account_id, reason=reason)

    def set_callback_body(self, event_id: str, body: str) -> None:
        """Replaces a callback's body."""
        self._sql.set_callback_body(self._db, id=event_id, body=body)

    def delete_callback(self, event_id: str) -> None:
        """Deletes a callback with its attempts."""
        self._sql.delete_callback(self._db, id=event_id)

    def set_response(self, callback_id: str, attempt: int, response: str) -> None:
        """Replaces the response of an attempt."""
        self._sql.set_response(self._db, callback_id=callback_id, attempt=attempt, response=response)

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Deletes an endpoint."""
        self._sql.delete_endpoint(self._db, id=endpoint_id)

    def delete_kept_answer(self, account_id: str, key: str) -> None:
        """Deletes a kept answer."""
        self._sql.delete_kept_answer(self._db, account_id=account_id, idempotency_key=key)

    def delete_pair_caller(self, service: str, number: str) -> None:
        """Deletes a caller who has left a shared number, whose quarantine ends with that."""
        self._sql.delete_pair_caller(self._db, service=service, number=number)

    def delete_session_name(self, session_id: str) -> None:
        """Deletes the customer's name of a Proxy session."""
        self._sql.delete_session_name(self._db, id=session_id)

    def replace_service_name(self, service_id: str) -> None:
        """Replaces the customer's name of a Proxy service, which must have one, with its id."""
        self._sql.replace_service_name(self._db, id=service_id)

    def delete_blocked_caller(self, booking_id: str, caller: str) -> None:
        """Deletes a number from a booking's list of blocked callers."""
        self._sql.delete_blocked_caller(self._db, booking_id=booking_id, caller=caller)
