"""Identifiers: UUIDv7 behind a prefix that says what it is. Later ids sort after earlier ones."""

import uuid_utils


def new_id(prefix: str) -> str:
    """For example `bkg_01a206bf7ae277579d190ae0d5b05f1a`."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"
