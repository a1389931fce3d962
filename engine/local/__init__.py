"""A whole system on one machine: first-run set-up, the supervisor of `make run`, the demo, and `doctor`."""
