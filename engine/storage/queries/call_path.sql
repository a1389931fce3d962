-- name: asked^
-- The booking that holds a number, and what the decision on a call to it depends on. Of the pairs that share a number it
-- is the caller's, by the number that the carrier asserts or else by the PIN. After a swap by an engine of an older version,
-- the PINs of the old number still lead to the pair, which is at another one. A retired number may belong to somebody else
-- by now, so it is not ours. The time at which a former caller reached the number is compared outside of the subquery: within
-- it, PostgreSQL may search by the time instead of the key, and read every caller of the last weeks.
SELECT {b.bookings},
    EXISTS (SELECT 1 FROM numbers AS n WHERE n.e164 IN (b.destination, b.partner) AND n.state <> 'RETIRED'),
    EXISTS (SELECT 1 FROM blocked_callers AS x WHERE x.booking_id = b.id AND x.caller = :source),
    (SELECT COUNT(*) FROM calls AS c WHERE c.booking_id = b.id AND c.source = :source AND c.started_at > :since),
    (SELECT COUNT(*) FROM calls AS u WHERE u.account_id = b.account_id AND u.ended_at IS NULL),
    (
        SELECT o.calls_at_once FROM accounts AS a JOIN accounts AS o ON o.id = COALESCE(a.test_of, a.id)
        WHERE a.id = b.account_id
    ),
    EXISTS (SELECT 1 FROM calls AS k WHERE k.call_id = :call_id),
    EXISTS (SELECT 1 FROM cdrs AS r WHERE r.call_id = :call_id)
        OR EXISTS (SELECT 1 FROM counted_calls AS o WHERE o.call_id = :call_id),
    EXISTS (SELECT 1 FROM accounts AS s WHERE s.id = b.account_id AND s.suspended_at IS NOT NULL),
    COALESCE((
        SELECT f.reached_at FROM reached_callers AS f
        WHERE f.service = :service AND f.digest = :digest AND f.booking_id <> b.id
    ), 0) > :reached_since
FROM bookings AS b
WHERE b.gone_at IS NULL AND b.service = :service AND b.id = COALESCE(
    (SELECT s.id FROM bookings AS s WHERE s.service = :service AND s.gone_at IS NULL AND s.partner IS NULL),
    (SELECT p.booking_id FROM pair_callers AS p WHERE p.service = :service AND p.number = CAST(:asserted AS TEXT)),
    (SELECT i.booking_id FROM pair_pins AS i WHERE i.service = :service AND i.pin = CAST(:pin AS TEXT))
);

-- name: last_caller^
-- The last caller on a booking of those whom the hidden number may call back, and whether the booking blocks this caller
-- by now.
SELECT c.source, EXISTS (SELECT 1 FROM blocked_callers AS x WHERE x.booking_id = c.booking_id AND x.caller = c.source)
FROM calls AS c
WHERE c.booking_id = :booking_id AND c.returnable = 1
ORDER BY c.started_at DESC, c.call_id DESC
LIMIT 1;

-- name: begin_expected_talk!
-- Makes a ringing call LIVE, if nothing but that has to be done: Asterisk has set the limit that the call must have, no
-- other call is up on its booking, and its account has not chosen the event about it. An answer cannot have been before
-- the call came in.
UPDATE calls SET
    state = 'LIVE', callee_channel = :callee_channel, answered_at = :answered_at, answered_ticks = :answered_ticks,
    callee_sip_call_id = :callee_sip_call_id
WHERE call_id = :call_id AND state = 'RINGING' AND destination <> 'erased'
    AND seconds_leased = :limit AND started_ticks <= :answered_ticks
    AND EXISTS (
        SELECT 1 FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
        WHERE b.id = booking_id AND b.gone_at IS NULL AND b.end_at >= :not_before AND b.calls_leased = 1
            AND a.events NOT LIKE '%' || :event || '%'
    );

-- name: called^
-- A call, the booking that was called, how many callbacks it has had, and the optional events that its account has chosen.
-- It returns locked rows as they are after the wait for the lock, even if others have changed them meanwhile. So no statement
-- has to lock them before. What the account has chosen may be as old as the beginning of the wait.
SELECT {b.bookings}, {c.calls}, b.callbacks_posted, a.events
FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id JOIN accounts AS a ON a.id = b.account_id
WHERE c.call_id = :call_id
{lock b, c};
