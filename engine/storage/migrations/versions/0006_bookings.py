"""Labels, metadata and pauses of bookings, and the countries of numbers."""

import phonenumbers
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BOOKINGS = (
    # A JSON object of strings, its keys in order and without blanks: so a pair can be looked for in it as text.
    "ALTER TABLE bookings ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE bookings ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE bookings ADD COLUMN paused BIGINT NOT NULL DEFAULT 0 CHECK (paused IN (0, 1))",
    # Lists show those that are not gone, and so does the quota: one index for both, however many have gone.
    "DROP INDEX bookings_held",
    "DROP INDEX bookings_account",
    "CREATE INDEX bookings_held ON bookings (account_id, id) WHERE gone_at IS NULL",
    # How many numbers were taken, and how many came back, within some days.
    "CREATE INDEX bookings_created ON bookings (created_at)",
    "CREATE INDEX bookings_ended ON bookings (gone_at) WHERE gone_at IS NOT NULL",
)
# A number that is retired keeps what is left of its quarantine, for the case that it comes back.
NUMBERS = """
    CREATE TABLE numbers_with_countries (
        e164 TEXT PRIMARY KEY,
        state TEXT NOT NULL CHECK (state IN ('FREE', 'BOOKED', 'QUARANTINED', 'RETIRED')),
        idle_since BIGINT NOT NULL,
        quarantined_until BIGINT,
        country TEXT,
        CHECK (state <> 'QUARANTINED' OR quarantined_until IS NOT NULL),
        CHECK (state IN ('QUARANTINED', 'RETIRED') OR quarantined_until IS NULL)
    )
    """
RENAMED = (
    "DROP TABLE numbers",
    "ALTER TABLE numbers_with_countries RENAME TO numbers",
    # The one that lay idle longest: of all, of a country, and of those that begin with some digits.
    "CREATE INDEX numbers_free ON numbers (idle_since, e164) WHERE state = 'FREE'",
    "CREATE INDEX numbers_free_country ON numbers (country, idle_since, e164) WHERE state = 'FREE'",
    "CREATE INDEX numbers_free_e164 ON numbers (e164, idle_since) WHERE state = 'FREE'",
    "CREATE INDEX numbers_quarantined ON numbers (quarantined_until) WHERE state = 'QUARANTINED'",
)
BATCH = 1_000


def upgrade() -> None:
    """Applies this migration."""
    for statement in (*BOOKINGS, NUMBERS):
        op.execute(statement)
    database = op.get_bind()
    rows = database.execute(sa.text("SELECT e164, state, idle_since, quarantined_until FROM numbers")).mappings().all()
    for start in range(0, len(rows), BATCH):
        database.execute(
            sa.text(
                "INSERT INTO numbers_with_countries (e164, state, idle_since, quarantined_until, country)"
                " VALUES (:e164, :state, :idle_since, :quarantined_until, :country)"
            ),
            [{**row, "country": _country_of(row["e164"])} for row in rows[start : start + BATCH]],
        )
    for statement in RENAMED:
        op.execute(statement)


def _country_of(number: str) -> str | None:
    """A copy of engine.domain.destinations.country_of as it was when this migration was written."""
    try:
        country = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
    return country if country in phonenumbers.SUPPORTED_REGIONS else None
