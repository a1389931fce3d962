"""The rules, pure: no I/O, no clock. Every function that needs the time is given `now` in epoch milliseconds."""
