"""`backup`, `restore` and `database …`: copies of the database, and its schema."""

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.backup import archive
from engine.backup.envelope import MIN_PASSPHRASE
from engine.backup.make import make_backup
from engine.backup.restore import Place, Receipt
from engine.backup.restore import restore as restore_backup
from engine.cli.options import YesOption
from engine.cli.output import Json, complain, counted, show_one
from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.domain.errors import InvalidInput
from engine.domain.times import EpochMs, rfc3339
from engine.local.data_dir import make_data_dir, require_database, require_file
from engine.local.upgrade import create_or_upgrade

backup_app, restore_app, database_app = (
    typer.Typer(add_completion=False),
    typer.Typer(add_completion=False),
    typer.Typer(
        add_completion=False, no_args_is_help=True, help="The database: its schema, and its move to PostgreSQL."
    ),
)

BACKUPS_OF_SERVERS = "use pg_dump, a standby or an archive of the write-ahead log, see docs/scale.md"

PassphraseFileOption = Annotated[
    Path | None, typer.Option(help="File with the passphrase in its first line, instead of a question.")
]


@backup_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file, such as rented-numbers.backup.")],
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Encrypt it with a passphrase.")] = False,
    passphrase_file: PassphraseFileOption = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Put the secrets into it too. Then it is always encrypted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a backup of the database, also while the system is running.

    The copy is whole, and verified: its pages, its indexes, and the credit of every booking. An existing file is never
    replaced.
    """
    settings = Settings()
    require_file(settings, BACKUPS_OF_SERVERS)
    require_database(settings)
    phrase = None
    if encrypt or passphrase_file or with_secrets:
        phrase = _passphrase(passphrase_file, confirm=True)
    if phrase is not None and len(phrase) < MIN_PASSPHRASE:
        raise InvalidInput([f"the passphrase must have {MIN_PASSPHRASE} characters or more"])
    made = make_backup(settings.data_dir, settings.database, file, passphrase=phrase, with_secrets=with_secrets)
    show_one(
        {
            "file": str(file),
            "bytes": made.size,
            "encrypted": phrase is not None,
            "secrets": with_secrets,
            "schema": made.manifest.schema,
            "createdAt": rfc3339(made.manifest.created_at),
            "newestRowAt": _time(made.manifest.newest_row_at),
            "bookings": made.bookings,
        },
        as_json=as_json,
    )
    if not with_secrets:
        complain("the secrets are not in it: without secrets/key_pepper no API key works")


@restore_app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file of `backup`, or a plain database file.")],
    check: Annotated[bool, typer.Option("--check", help="Say what it would do, and change nothing.")] = False,
    passphrase_file: PassphraseFileOption = None,
    without_log: Annotated[
        bool,
        typer.Option("--without-log", help="Restore even if the revocation log does not reach back to the backup."),
    ] = False,
    yes: YesOption = False,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of the database. Refused while the system is running.

    Keys that were revoked since the backup stay revoked, erased numbers stay erased, bookings that ended stay ended.
    Numbers that may have been booked since go into quarantine. The old database is kept.
    """
    settings = Settings()
    require_file(settings, BACKUPS_OF_SERVERS)
    phrase = _passphrase(passphrase_file, confirm=False) if archive.needs_passphrase(file) else None
    if not check and not yes:
        typer.confirm(f"Replace the database in {settings.data_dir.absolute()} by {file}?", abort=True, err=True)
    make_data_dir(settings)
    place = Place(settings.data_dir, settings.database, settings.journal, policy_of(settings))
    receipt = restore_backup(place, file, phrase, check=check, without_log=without_log)
    show_one(_shown(receipt), as_json=as_json)
    if not receipt.log_is_complete:
        complain("the revocation log does not reach back to the backup: revoke and erase again what you know of")
    for what in receipt.remaining:
        complain(f"still holds an erased number: {what}")
    if not receipt.installed:
        complain("nothing was changed")


@database_app.command()
def upgrade(as_json: Json = False) -> None:
    """Upgrade the database to this version's schema, with a verified backup first. Refused beside a running engine.

    `setup` and `run` do the same; every other command refuses a database of another version. On PostgreSQL it makes no
    backup.
    """
    settings = Settings()
    require_database(settings)
    done = create_or_upgrade(settings, complain)
    show_one(
        {
            "from": done.before,
            "to": done.after,
            "backup": None if done.backup is None else str(done.backup),
            "bookings": done.bookings,
        },
        as_json=as_json,
    )


@database_app.command("copy")
def copy(as_json: Json = False) -> None:
    """Copy the SQLite database into the empty PostgreSQL database of DATABASE_URL. Refused beside a running engine.

    It may be stopped at any time: then nothing is left there. The copy is compared with the original, and the credit of
    every booking is audited. The SQLite file stays as it is.
    """
    from engine.local.move_database import move_database, rows_to_move  # noqa: PLC0415  it needs psycopg

    settings = Settings()
    total = rows_to_move(settings)
    with counted(total, "copying") as advance:
        moved = move_database(settings, advance)
    rows = {table: count for table, count in moved.copied.rows.items() if count}
    show_one(
        {
            "rows": sum(rows.values()),
            "bookings": moved.bookings,
            "replacedCharacters": moved.copied.replaced,
            "tables": rows,
        },
        as_json=as_json,
    )


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    """Reads the passphrase from the file, or asks for it. It is no argument, because others see command lines."""
    if file is None:
        return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0]:
        raise InvalidInput([f"there is no passphrase in the first line of {file}"])
    return lines[0]


def _shown(receipt: Receipt) -> dict[str, Any]:
    manifest = receipt.manifest
    return {
        "restored": receipt.installed,
        "createdAt": rfc3339(manifest.created_at),
        "newestRowAt": _time(manifest.newest_row_at),
        "schema": manifest.schema,
        **{name: receipt.done.get(name, 0) for name in COUNTS},
        "bookings": receipt.bookings,
        "logIsComplete": receipt.log_is_complete,
        "secrets": ", ".join(receipt.secrets),
        "oldDatabase": None if receipt.kept is None else str(receipt.kept),
    }


COUNTS = (
    "callsSettled",
    "callsVoided",
    "keysRevoked",
    "accountsSuspended",
    "accountsResumed",
    "accountsClosed",
    "webSessionsEnded",
    "secretsReplaced",
    "bookingsEnded",
    "bookingsPaused",
    "numbersErased",
    "numbersQuarantined",
)


def _time(instant: EpochMs | None) -> str | None:
    return None if instant is None else rfc3339(instant)
