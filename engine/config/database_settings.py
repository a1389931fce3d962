"""The settings that say where everything is kept."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from engine.config.postgres_address import PostgresAddress
from engine.domain.errors import InvalidInput


class DatabaseSettings(BaseSettings):
    """The data directory and the database."""

    data_dir: Path = Field(
        Path("var"), description="Directory of everything that is kept: database, secrets, Asterisk's files."
    )
    database_url: str | None = Field(
        None,
        description="Address of a PostgreSQL database, version 15 or newer, instead of the SQLite file in `data_dir`. "
        "It may name several hosts; the one that takes writes is used. See docs/scale.md.",
        examples=["postgresql://rented@db1,db2/rented?passfile=/etc/rented-numbers/pgpass"],
        repr=False,
    )

    @field_validator("database_url")
    @classmethod
    def _refuse_other_addresses(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                PostgresAddress(value)
            except InvalidInput as error:
                raise ValueError(str(error)) from None
        return value

    @property
    def database(self) -> Path:
        """The SQLite file, also if another database is in use."""
        return self.data_dir / "rented-numbers.sqlite3"

    @property
    def books(self) -> Path | PostgresAddress:
        """The database in use: the SQLite file or a PostgreSQL database."""
        return self.database if self.database_url is None else PostgresAddress(self.database_url)
