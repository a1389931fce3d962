-- name: insert_cdr!
INSERT INTO cdrs ({cdrs}) VALUES ({:cdrs});

-- name: cdr_by_id^
SELECT {cdrs} FROM cdrs WHERE account_id = :account_id AND id = :id;

-- name: cdr_of_any_account^
SELECT {cdrs} FROM cdrs WHERE id = :id;

-- name: cdr_named^
-- By its own id, or by that of its call.
SELECT {cdrs} FROM cdrs WHERE id = :named OR call_id = :named;

-- name: cdr_places
-- The two positions after the first `skipped` records of a range, newest first. Reads only the index.
SELECT started_at, id FROM cdrs
WHERE account_id = :account_id AND (started_at, id) < (:before_at, :before_id) AND (started_at, id) >= (:last_at, :last_id)
ORDER BY started_at DESC, id DESC
LIMIT 2 OFFSET :skipped;

-- name: cdrs_between
-- Newest first, with the instants of their calls. A filter that is NULL lets everything through.
SELECT {r.cdrs}, c.answered_at, c.ended_at FROM cdrs AS r LEFT JOIN calls AS c ON c.call_id = r.call_id
WHERE r.account_id = :account_id
    AND (r.started_at, r.id) < (:before_at, :before_id) AND (r.started_at, r.id) >= (:last_at, :last_id)
    AND r.booking_id = COALESCE(:booking_id, r.booking_id) AND r.service = COALESCE(:service, r.service)
    AND r.source = COALESCE(:source, r.source) AND r.disposition = COALESCE(:disposition, r.disposition)
    AND (CAST(:party AS TEXT) IS NULL OR r.source = :party OR r.service = :party)
ORDER BY r.started_at DESC, r.id DESC
LIMIT :at_most;

-- name: calls_by_number
-- What an account's calls of a span cost, by the rented number. Answered calls last at least a second. The record of a
-- refused call may stand for further ones.
SELECT service, SUM(1 + further_calls) AS calls, COUNT(*) FILTER (WHERE duration > 0) AS answered,
    SUM(duration) AS seconds
FROM cdrs
WHERE account_id = :account_id AND started_at >= :since AND started_at < :until
GROUP BY service;

-- name: usage_by_booking
-- What an account's calls of a span have used, by booking. An answered call lasts at least a second; one that rang
-- without an answer is missed. The record of a refused call may stand for further ones.
SELECT
    booking_id, MAX(service) AS service,
    SUM(CASE WHEN duration > 0 THEN 1 ELSE 0 END) AS answered,
    SUM(CASE WHEN duration = 0 AND disposition IN (
        'BUSY', 'NO_ANSWER', 'CANCELLED', 'UNREACHABLE', 'GAVE_WAY', 'LOST'
    ) THEN 1 + further_calls ELSE 0 END) AS missed,
    SUM(CASE WHEN duration = 0 AND disposition NOT IN (
        'BUSY', 'NO_ANSWER', 'CANCELLED', 'UNREACHABLE', 'GAVE_WAY', 'LOST'
    ) THEN 1 + further_calls ELSE 0 END) AS refused,
    SUM(duration) AS seconds
FROM cdrs
WHERE account_id = :account_id AND started_at >= :since AND started_at < :until
GROUP BY booking_id
ORDER BY booking_id;

-- name: busiest_bookings
-- Of customers, or of one account. CROSS JOIN makes SQLite begin with the accounts, and read the time span of each.
SELECT
    c.booking_id, MAX(a.name) AS account, MAX(c.service) AS service, SUM(1 + c.further_calls) AS calls,
    COUNT(*) FILTER (WHERE c.duration > 0) AS answered, SUM(c.duration) AS seconds
FROM accounts AS a CROSS JOIN cdrs AS c
WHERE c.account_id = a.id AND c.started_at >= :since
    AND CASE WHEN CAST(:account_id AS TEXT) IS NULL THEN a.test_of IS NULL ELSE a.id = :account_id END
GROUP BY c.booking_id
ORDER BY CASE WHEN :by_seconds THEN SUM(c.duration) ELSE SUM(1 + c.further_calls) END DESC, c.booking_id
LIMIT :at_most;

-- name: dispositions_between
-- Of the newest real calls that were recorded within a span: a simulated call has an id of its own kind.
SELECT disposition, COUNT(*) AS calls FROM (
    SELECT disposition FROM cdrs
    WHERE id >= :first_id AND id < :last_id AND substr(call_id, 1, 4) <> 'sim_'
    ORDER BY id DESC
    LIMIT :at_most
) AS newest
GROUP BY disposition;

-- name: latest_reported_call$
-- Of Asterisk's answered calls; a simulated call has an id of its own kind.
SELECT call_id FROM cdrs WHERE disposition = 'ANSWERED' AND substr(call_id, 1, 4) <> 'sim_' ORDER BY id DESC LIMIT 1;
