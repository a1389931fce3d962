"""An upgrade from another version of this repository, with calls up: `python -m tests.upgrade REVISION`."""
