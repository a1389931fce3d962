-- Several engines on one database (engine/storage/keepers.py, engine/storage/errands.py).

-- name: keepers
SELECT asterisk, engine, beat, mark FROM keepers;

-- name: keeper_of^
SELECT asterisk, engine, beat, mark FROM keepers WHERE asterisk = :asterisk;

-- name: take_asterisk!
-- If nobody has taken it since, and its keeper has not beaten, the row is still the one that was read.
INSERT INTO keepers (asterisk, engine, beat, beaten_at, host, mark)
VALUES (:asterisk, :engine, 0, :beaten_at, :host, :mark)
ON CONFLICT (asterisk) DO UPDATE
SET engine = :engine, beat = keepers.beat + 1, beaten_at = :beaten_at, host = :host, mark = :mark
WHERE keepers.engine = :read_engine AND keepers.beat = :read_beat;

-- name: keepers_beat!
UPDATE keepers SET beat = beat + 1, beaten_at = :beaten_at, host = :host, mark = :mark
WHERE asterisk = :asterisk AND engine = :engine;

-- name: leave_asterisk!
UPDATE keepers SET engine = '', beat = beat + 1 WHERE asterisk = :asterisk AND engine = :engine;

-- name: forget_asterisk!
DELETE FROM keepers WHERE asterisk = :asterisk AND engine = :engine AND beat = :beat;

-- name: calls_since_beat$
-- How many calls that are up in an Asterisk came in later than `margin` milliseconds after its keeper was last heard of.
SELECT COUNT(*) FROM calls AS c JOIN keepers AS k ON k.asterisk = c.asterisk
WHERE c.asterisk = :asterisk AND c.ended_at IS NULL AND k.beaten_at > 0 AND c.started_at > k.beaten_at + :margin;

-- name: forget_errands!
DELETE FROM errands WHERE asterisk = :asterisk;

-- name: asterisks
-- Those that an engine keeps or has kept, and those that have calls.
SELECT
    names.asterisk, k.engine, k.host, k.beaten_at, COALESCE(up.calls, 0) AS calls, COALESCE(up.seconds, 0) AS seconds
FROM (SELECT asterisk FROM keepers UNION SELECT asterisk FROM calls WHERE ended_at IS NULL) AS names
LEFT JOIN keepers AS k ON k.asterisk = names.asterisk
LEFT JOIN (
    SELECT asterisk, COUNT(*) AS calls, SUM(seconds_leased) AS seconds FROM calls WHERE ended_at IS NULL GROUP BY asterisk
) AS up ON up.asterisk = names.asterisk
WHERE names.asterisk <> '' ORDER BY names.asterisk;

-- name: calls_up_in_asterisk
SELECT {calls} FROM calls WHERE ended_at IS NULL AND asterisk = :asterisk LIMIT :at_most;

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
