-- name: oldest_cdrs
-- In the order of the primary key, which is the order of time, so this reads only the beginning of an index.
-- `started_at` is translated from the account's clock, as it is set now, to the machine's. A sandbox's clock was never
-- further ahead than now, so none of its records appears younger than it is and blocks the deletion of later ones.
SELECT
    c.id, c.call_id, c.booking_id, c.duration,
    c.started_at - COALESCE((SELECT a.clock_ahead_ms FROM accounts AS a WHERE a.id = c.account_id), 0) AS started_at
FROM cdrs AS c
ORDER BY c.id
LIMIT :at_most
{skip locked c};

-- name: add_forgotten!
UPDATE bookings SET seconds_forgotten = seconds_forgotten + :seconds, calls_forgotten = calls_forgotten + :calls
WHERE id = :booking_id;

-- name: delete_cdr!
DELETE FROM cdrs WHERE id = :id;

-- name: delete_ended_call!
DELETE FROM calls WHERE call_id = :call_id AND ended_at IS NOT NULL;

-- name: delete_finished_callbacks!
DELETE FROM outbox WHERE id IN (
    SELECT o.id FROM outbox AS o WHERE o.finished_at <= :before ORDER BY o.finished_at LIMIT :at_most {skip locked}
) {by values};

-- name: gone_bookings_to_forget
-- A call that is up still needs the booking's callback URL.
SELECT b.id FROM bookings AS b
WHERE b.gone_at <= :before AND b.gone_at IS NOT NULL AND b.forgotten = 0
    AND NOT EXISTS (SELECT 1 FROM calls AS c WHERE c.booking_id = b.id AND c.ended_at IS NULL)
ORDER BY b.gone_at
LIMIT :at_most
{skip locked b};

-- name: forget_whom_booking_hid!
UPDATE bookings SET
    destination = 'erased', callback = '', label = '', metadata = '{}', forgotten = 1,
    partner = CASE WHEN partner IS NOT NULL THEN 'erased' END, destination_label = '', partner_label = ''
WHERE id = :id;
