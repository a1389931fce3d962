-- Several engines on one database (engine/storage/keepers.py, engine/storage/errands.py).

-- name: keepers
SELECT asterisk, engine, beat FROM keepers;

-- name: take_asterisk!
-- If nobody has taken it since, and its keeper has not beaten, the row is still the one that was read.
INSERT INTO keepers (asterisk, engine, beat) VALUES (:asterisk, :engine, 0)
ON CONFLICT (asterisk) DO UPDATE SET engine = :engine, beat = keepers.beat + 1
WHERE keepers.engine = :read_engine AND keepers.beat = :read_beat;

-- name: keepers_beat!
UPDATE keepers SET beat = beat + 1 WHERE asterisk = :asterisk AND engine = :engine;

-- name: leave_asterisk!
UPDATE keepers SET engine = '', beat = beat + 1 WHERE asterisk = :asterisk AND engine = :engine;

-- name: adopt_calls!
-- Calls from before several engines worked on the database.
UPDATE calls SET asterisk = :asterisk WHERE asterisk = '' AND ended_at IS NULL;

-- name: asterisks_of_booking
SELECT asterisk FROM calls WHERE booking_id = :booking_id AND ended_at IS NULL;

-- name: asterisks_with_calls
SELECT DISTINCT asterisk FROM calls WHERE ended_at IS NULL;

-- name: asterisk_of_call$
SELECT asterisk FROM calls WHERE call_id = :call_id AND ended_at IS NULL;

-- name: insert_errand!
INSERT INTO errands (id, asterisk, kind, subject, seconds, until_ticks)
VALUES (:id, :asterisk, :kind, :subject, :seconds, :until_ticks);

-- name: errands_of
SELECT id, asterisk, kind, subject, seconds, until_ticks FROM errands WHERE asterisk = :asterisk ORDER BY id LIMIT :at_most;

-- name: errand_exists$
SELECT COUNT(*) FROM errands WHERE id = :id;

-- name: delete_errand!
DELETE FROM errands WHERE id = :id;
