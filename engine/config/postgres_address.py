"""Where a PostgreSQL database is: the URL of the setting `database_url`.

psycopg is imported where it is used, because most installations have a SQLite file.
"""

# ruff: noqa: PLC0415  see the docstring

from collections.abc import Mapping
from typing import Self

from engine.domain.errors import InvalidInput

SCHEMES = ("postgresql://", "postgres://")
# A machine that is gone answers nothing, and TCP alone would wait for a quarter of an hour.
_NETWORK = {"keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "10000"}


class PostgresAddress(str):
    """A URL as libpq reads it. It may name several hosts, of which the one that takes writes is used.

    Raises:
        InvalidInput: It is no such URL.
    """

    __slots__ = ()

    def __new__(cls, url: str) -> Self:
        """Checks the URL."""
        if not url.startswith(SCHEMES):
            raise InvalidInput(["the address of the database must begin with postgresql://"])
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict

        try:
            conninfo_to_dict(url)
        except Error as error:
            raise InvalidInput([f"the address of the database cannot be read: {str(error).strip()}"]) from None
        return super().__new__(cls, url)

    @property
    def shown(self) -> str:
        """Hosts and database, without user and password."""
        from psycopg.conninfo import conninfo_to_dict

        parts = conninfo_to_dict(self)
        return f"database {parts.get('dbname') or 'of the user'} on {parts.get('host') or 'this machine'}"

    def with_options(self, options: Mapping[str, str], *, read_only: bool) -> str:
        """Returns the address with what a connection of the engine needs.

        Args:
            options: Settings of the server for this connection.
            read_only: Whether the connection never writes.
        """
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        given = conninfo_to_dict(self)
        # libpq's own spelling of a space within a value.
        settings = " ".join("-c {}={}".format(name, value.replace(" ", "\\ ")) for name, value in options.items())
        if read_only and given.get("target_session_attrs") == "read-write":
            del given["target_session_attrs"]  # libpq takes any server for read-only if the session is
        wanted = {
            **_NETWORK,
            "application_name": "rented-numbers",
            "target_session_attrs": "primary" if read_only else "read-write",
            **given,
            "client_encoding": "UTF8",
            "options": f"{given.get('options', '')} {settings}".strip(),
        }
        return make_conninfo("", **wanted)
