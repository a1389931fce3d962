"""A whole system on one machine: first-run set-up, an Asterisk of our own, and the supervisor of `make run`."""
