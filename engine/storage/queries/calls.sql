-- name: insert_call!
INSERT INTO calls ({calls}, account_id)
VALUES ({:calls}, (SELECT account_id FROM bookings WHERE id = :booking_id));

-- name: update_call!
-- What can change while a call is up. None of these columns has an index.
UPDATE calls SET
    state = :state, callee_channel = :callee_channel, seconds_leased = :seconds_leased,
    answered_at = :answered_at, answered_ticks = :answered_ticks, seen_ticks = :seen_ticks,
    callee_sip_call_id = :callee_sip_call_id
WHERE call_id = :call_id AND booking_id = :booking_id;

-- name: start_call_again!
-- A call that was answered keeps its start. An engine that hung may ask with an earlier time than the last one.
UPDATE calls SET started_at = :started_at, started_ticks = :started_ticks
WHERE call_id = :call_id AND booking_id = :booking_id AND state = 'RINGING' AND started_at < :started_at;

-- name: end_call!
UPDATE calls SET state = :state, seconds_charged = :seconds_charged, ended_at = :ended_at
WHERE call_id = :call_id AND booking_id = :booking_id;

-- name: note_dialled!
UPDATE calls SET dialled = :service WHERE booking_id = :booking_id AND ended_at IS NULL AND dialled IS NULL;

-- name: forget_last_callers!
UPDATE calls SET returnable = 0 WHERE booking_id = :booking_id AND returnable = 1;

-- name: call_by_id^
SELECT {calls} FROM calls WHERE call_id = :call_id;

-- name: calls_up_on_booking
SELECT {calls} FROM calls WHERE booking_id = :booking_id AND ended_at IS NULL;

-- name: ringing_calls_of_account
SELECT call_id, started_ticks FROM calls
WHERE account_id = :account_id AND ended_at IS NULL AND state = 'RINGING';

-- name: calls_to_hang_up
SELECT {c.calls} FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id
WHERE c.ended_at IS NULL AND c.asterisk = :asterisk AND (b.gone_at IS NOT NULL OR c.destination = 'erased')
LIMIT :at_most;

-- name: calls_up
SELECT {calls} FROM calls WHERE ended_at IS NULL;

-- name: calls_up_briefly
SELECT call_id, state, seconds_leased, started_ticks, seen_ticks FROM calls
WHERE ended_at IS NULL AND asterisk = :asterisk;

-- name: calls_last_seen*!
-- A call that another transaction changes now was left out by all_calls_seen: waiting for it here could deadlock.
UPDATE calls SET seen_ticks = :seen_ticks
WHERE call_id IN (SELECT c.call_id FROM calls AS c WHERE c.call_id = :call_id AND c.state = 'LIVE' {skip locked});

-- name: call_has_ended$
SELECT COUNT(*) FROM calls WHERE call_id = :call_id AND ended_at IS NOT NULL;

-- name: bookings_with_talk
SELECT DISTINCT booking_id FROM calls WHERE ended_at IS NULL AND state = 'LIVE' AND asterisk = :asterisk;

-- name: bookings_overrun
SELECT DISTINCT booking_id FROM calls
WHERE ended_at IS NULL AND state = 'LIVE' AND asterisk = :asterisk
    AND answered_ticks + seconds_leased * 1000 <= :ticks;

-- name: calls_to_beep
-- Talking calls on bookings with the beep whose lease or booking ends soon.
SELECT c.call_id, c.callee_channel, c.seconds_leased, c.answered_ticks, b.end_at
FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id
WHERE c.ended_at IS NULL AND c.state = 'LIVE' AND c.asterisk = :asterisk AND c.callee_channel IS NOT NULL
    AND b.beep = 1 AND b.gone_at IS NULL
    AND (c.answered_ticks + c.seconds_leased * 1000 <= :ticks OR b.end_at <= :now)
LIMIT :at_most;

-- name: calls_overdue
-- Calls that are past their latest possible end: ringing time, lease and margin.
SELECT {calls} FROM calls
WHERE ended_at IS NULL AND asterisk = :asterisk
    AND COALESCE(answered_ticks, started_ticks + :ring_ms) + seconds_leased * 1000 + :margin_ms <= :ticks
LIMIT :at_most;
