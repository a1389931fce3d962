"""Identifiers as types of their own, so that a booking's id is never passed where an account's is wanted."""

from typing import NewType

AccountId = NewType("AccountId", str)
BookingId = NewType("BookingId", str)
CallId = NewType("CallId", str)
