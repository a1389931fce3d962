"""The business rules as pure functions: no I/O and no clock.

A function that depends on the time takes it as `now`, in epoch milliseconds.
"""
