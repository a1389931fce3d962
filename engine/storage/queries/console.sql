-- What only the operator's console reads. It shares other lists with the API and the command line.

-- name: calls_by_hour
-- Of the newest real calls that were recorded since an instant: a simulated call has an id of its own kind. `hour` is
-- counted from `since`. A record of refused calls stands for `further_calls` more.
SELECT
    (started_at - :since) / 3600000 AS hour, disposition,
    SUM(1 + further_calls) AS calls, SUM(duration) AS seconds
FROM (
    SELECT started_at, disposition, duration, further_calls FROM cdrs
    WHERE id >= :first_id AND substr(call_id, 1, 4) <> 'sim_'
    ORDER BY id DESC
    LIMIT :at_most
) AS newest
WHERE started_at >= :since
GROUP BY 1, 2;

-- name: newest_cdrs
-- Records of all accounts that are older than one and not older than another, newest first. `party`: the caller or the
-- rented number.
SELECT {r.cdrs}, a.name AS account FROM cdrs AS r JOIN accounts AS a ON a.id = r.account_id
WHERE r.id < :before_id AND r.id >= :last_id
    AND (CAST(:party AS TEXT) IS NULL OR r.source = :party OR r.service = :party)
    AND (:failed = 0 OR r.disposition <> 'ANSWERED')
ORDER BY r.id DESC
LIMIT :at_most;

-- name: cdr_id_before$
-- The id of the record after the first `skipped` ones that are older than one.
SELECT id FROM cdrs WHERE id < :before_id ORDER BY id DESC LIMIT 1 OFFSET :skipped;

-- name: console_booking^
SELECT {b.bookings}, a.name AS account, a.clock_ahead_ms, b.calls_forgotten
FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
WHERE b.id = :id;

-- name: console_bookings
-- Bookings of all accounts that are older than one and not older than another, newest first. `number`: the rented or
-- the hidden number. A filter that is NULL lets everything through.
SELECT {b.bookings}, a.name AS account, a.clock_ahead_ms, b.calls_forgotten
FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
WHERE b.id < :before_id AND b.id >= :last_id
    AND (CAST(:number AS TEXT) IS NULL OR b.service = :number OR b.destination = :number)
    AND (CAST(:account AS TEXT) IS NULL OR a.id = :account OR a.name = :account)
    AND (:gone = 1 OR b.gone_at IS NULL)
ORDER BY b.id DESC
LIMIT :at_most;

-- name: booking_id_before$
-- The id of the booking after the first `skipped` ones that are older than one.
SELECT id FROM bookings WHERE id < :before_id ORDER BY id DESC LIMIT 1 OFFSET :skipped;

-- name: console_callbacks
-- Callbacks of all accounts that are older than one and not older than another, newest first, without their bodies. A
-- filter that is NULL lets everything through.
SELECT o.id, o.booking_id, o.url, '' AS body, o.state, o.attempts, o.claimed, o.created_at, o.due_at, o.finished_at,
    o.last_outcome, a.name AS account, a.test_of IS NOT NULL AS is_sandbox
FROM outbox AS o JOIN accounts AS a ON a.id = o.account_id
WHERE o.id < :before_id AND o.id >= :last_id
    AND (CAST(:state AS TEXT) IS NULL OR o.state = :state)
    AND (CAST(:account AS TEXT) IS NULL OR a.id = :account OR a.name = :account)
ORDER BY o.id DESC
LIMIT :at_most;

-- name: callback_id_before$
-- The id of the callback after the first `skipped` ones that are older than one.
SELECT id FROM outbox WHERE id < :before_id ORDER BY id DESC LIMIT 1 OFFSET :skipped;
