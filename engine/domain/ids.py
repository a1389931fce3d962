"""Types for identifiers, so that a type checker notices a booking's id where an account's id belongs."""

from typing import NewType

# `acc_…` and `bkg_…`, made by engine/runtime/ids.py.
AccountId = NewType("AccountId", str)
BookingId = NewType("BookingId", str)
# Asterisk's unique id of the caller's channel; `sim_…` for a simulated call.
CallId = NewType("CallId", str)
