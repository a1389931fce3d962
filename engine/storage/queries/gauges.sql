-- Figures for the metrics. They leave out sandboxes: `< '+999'` keeps out their numbers, and is found in an index.

-- name: live_call_sums^
SELECT
    COUNT(*) AS calls, COALESCE(SUM(seconds_leased), 0) AS seconds,
    COUNT(*) FILTER (WHERE state = 'LIVE') AS talking,
    COALESCE(SUM(CASE WHEN state = 'LIVE' THEN seconds_leased END), 0) AS talking_seconds
FROM calls WHERE ended_at IS NULL;

-- name: silent_asterisk_sums^
-- Calls in Asterisks of which no engine was heard of since an instant. 0: an engine of a former version does not say it.
SELECT COUNT(DISTINCT c.asterisk) AS asterisks, COALESCE(SUM(c.seconds_leased), 0) AS seconds
FROM calls AS c LEFT JOIN keepers AS k ON k.asterisk = c.asterisk
WHERE c.ended_at IS NULL AND c.asterisk <> '' AND COALESCE(k.beaten_at, 1) BETWEEN 1 AND :since;

-- name: numbers_by_country_and_state
SELECT country, state, COUNT(*) AS numbers FROM numbers GROUP BY country, state;

-- name: booking_counts^
SELECT
    (SELECT COUNT(*) FROM bookings WHERE gone_at IS NULL AND service < '+999') AS present,
    (SELECT COUNT(*) FROM bookings
        WHERE gone_at IS NULL AND COALESCE(exhausted_at, end_at) <= :now AND service || '' < '+999') AS expired;

-- name: oldest_callback_due_at$
-- Each step looks up the next account, see accounts_with_callbacks.
WITH RECURSIVE pending (account_id) AS (
    SELECT MIN(o.account_id) FROM outbox AS o WHERE o.state = 'PENDING'
    UNION ALL
    SELECT (SELECT MIN(o.account_id) FROM outbox AS o WHERE o.state = 'PENDING' AND o.account_id > pending.account_id)
    FROM pending WHERE pending.account_id IS NOT NULL
)
SELECT MIN(
    (SELECT MIN(o.due_at) FROM outbox AS o WHERE o.state = 'PENDING' AND o.account_id = pending.account_id)
)
FROM pending JOIN accounts AS a ON a.id = pending.account_id
WHERE a.test_of IS NULL;
