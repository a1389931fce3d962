-- name: note_reached_caller!
INSERT INTO reached_callers (service, digest, booking_id, reached_at)
VALUES (:service, :digest, :booking_id, :reached_at)
ON CONFLICT (service, digest) DO UPDATE SET booking_id = excluded.booking_id, reached_at = excluded.reached_at
WHERE excluded.booking_id <> reached_callers.booking_id OR excluded.reached_at >= reached_callers.reached_at + 86400000;

-- name: records_to_note
-- In the order of the primary key, from where the last slice ended.
SELECT id, booking_id, service, source, started_at, duration, direction FROM cdrs
WHERE id > COALESCE((SELECT cdr_id FROM callers_noted WHERE id = 1), '') AND id < :before_id
ORDER BY id
LIMIT :at_most;

-- name: set_callers_noted!
-- Several engines may note the same records, one after the other: that changes nothing.
INSERT INTO callers_noted (id, cdr_id) VALUES (1, :cdr_id)
ON CONFLICT (id) DO UPDATE SET cdr_id = excluded.cdr_id WHERE excluded.cdr_id > callers_noted.cdr_id;

-- name: delete_reached_caller!
DELETE FROM reached_callers WHERE service = :service AND digest = :digest;

-- name: forget_reached_callers!
DELETE FROM reached_callers WHERE (service, digest) IN (
    SELECT f.service, f.digest FROM reached_callers AS f WHERE f.reached_at <= :before
    ORDER BY f.reached_at LIMIT :at_most {skip locked}
) {by values};
