-- name: insert_call!
INSERT INTO calls (
    call_id, booking_id, state, source, destination, channel, seconds_leased, seconds_charged,
    started_at, answered_at, ended_at, overdue_at
) VALUES (
    :call_id, :booking_id, :state, :source, :destination, :channel, :seconds_leased, :seconds_charged,
    :started_at, :answered_at, :ended_at, :overdue_at
);

-- name: update_call!
UPDATE calls SET
    state = :state, seconds_charged = :seconds_charged, answered_at = :answered_at, ended_at = :ended_at,
    overdue_at = :overdue_at
WHERE call_id = :call_id;

-- name: call_by_id^
SELECT * FROM calls WHERE call_id = :call_id;

-- name: calls_up_on_booking
SELECT * FROM calls WHERE booking_id = :booking_id AND ended_at IS NULL;

-- name: calls_up_on_gone_bookings
SELECT c.* FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id
WHERE c.ended_at IS NULL AND b.gone_at IS NOT NULL
LIMIT :at_most;

-- name: calls_overdue
SELECT * FROM calls WHERE ended_at IS NULL AND overdue_at <= :now
LIMIT :at_most;
