"""Whether both sides of a call hear a beep when a minute of it is left."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

# What customers choose for a booking.
CHOICES = (
    "max_concurrent_calls, max_calls_per_caller_per_hour, max_call_seconds, caller_id, refuse_anonymous, paused,"
    " language, whisper, greeting, screening, reverse, accept_former_callers, forgotten, created_at, start_at, end_at,"
    " beep"
)
SOUND_CHOICES = """
    NEW.max_concurrent_calls > 0 AND NEW.max_calls_per_caller_per_hour > 0 AND NEW.max_call_seconds > 0
    AND NEW.caller_id IN ('caller', 'service', 'anonymous') AND NEW.refuse_anonymous IN (0, 1) AND NEW.paused IN (0, 1)
    AND NEW.language IN ('en', 'fr', 'nl', 'de') AND NEW.whisper IN (0, 1) AND NEW.greeting IN (0, 1)
    AND NEW.screening IN ('none', 'press1') AND NEW.reverse IN (0, 1) AND NEW.accept_former_callers IN (0, 1)
    AND NEW.forgotten IN (0, 1) AND NEW.start_at > NEW.created_at AND NEW.start_at < NEW.end_at
    AND NEW.beep IN (0, 1)
"""


def upgrade() -> None:
    """Applies this migration."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    check = " CHECK (beep IN (0, 1))" if is_sqlite else ""
    op.execute(f"ALTER TABLE bookings ADD COLUMN beep BIGINT NOT NULL DEFAULT 0{check}")
    if not is_sqlite:
        _check_choices()
    move_to_end("bookings", "metadata", "{}")


def _check_choices() -> None:
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION require_sound_choices() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            -- NULL is no choice, and a rule about it holds.
            IF NOT ({SOUND_CHOICES}) THEN
                RAISE check_violation USING
                    MESSAGE = 'new row for relation "bookings" violates check constraint "bookings_sound_choices"';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute("DROP TRIGGER bookings_sound_choices ON bookings")
    op.execute(
        f"CREATE TRIGGER bookings_sound_choices BEFORE INSERT OR UPDATE OF {CHOICES} ON bookings"
        " FOR EACH ROW EXECUTE FUNCTION require_sound_choices()"
    )
