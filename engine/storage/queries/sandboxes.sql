-- Sandboxes. The schema calls them worlds.

-- name: world_of_account^
SELECT id AS account_id, clock_ahead_ms, test_of FROM accounts WHERE id = :account_id AND test_of IS NOT NULL;

-- name: world_beside_account$
SELECT id FROM accounts WHERE test_of = :account_id;

-- name: set_clock_ahead!
UPDATE accounts SET clock_ahead_ms = :clock_ahead_ms WHERE id = :account_id;

-- name: worlds_page
-- In the order of the customers' accounts.
SELECT id AS account_id, clock_ahead_ms, test_of FROM accounts WHERE test_of > :after ORDER BY test_of LIMIT :at_most;

-- name: bookings_of_account_expired_before
SELECT {bookings} FROM bookings
WHERE account_id = :account_id AND gone_at IS NULL AND COALESCE(exhausted_at, end_at) <= :before
ORDER BY COALESCE(exhausted_at, end_at)
LIMIT :at_most
{skip locked};

-- name: cdr_by_call^
SELECT {cdrs} FROM cdrs WHERE call_id = :call_id;

-- name: oldest_cdrs_of_worlds
-- As oldest_cdrs. CROSS JOIN makes SQLite begin with the sandboxes.
SELECT c.id, c.call_id, c.booking_id, c.duration, c.started_at - a.clock_ahead_ms AS started_at
FROM accounts AS a CROSS JOIN cdrs AS c
WHERE c.account_id = a.id AND a.test_of IS NOT NULL AND c.started_at <= :before + a.clock_ahead_ms
LIMIT :at_most
{skip locked c} {by values};

-- name: delete_finished_callbacks_of_worlds!
-- `finished_at` and `before` are by the machine's clock. A callback cannot have finished before it was created.
DELETE FROM outbox WHERE id IN (
    SELECT o.id FROM accounts AS a CROSS JOIN outbox AS o
    WHERE o.account_id = a.id AND a.test_of IS NOT NULL
        AND o.created_at <= :before + a.clock_ahead_ms AND o.finished_at <= :before
    LIMIT :at_most
    {skip locked o}
) {by values};

-- name: gone_bookings_of_worlds_to_forget
-- Each by its sandbox's clock; `before` is by the machine's. No call is ever up on them.
-- CROSS JOIN makes SQLite begin with the sandboxes; otherwise it would scan all bookings that are gone.
SELECT b.id FROM accounts AS a CROSS JOIN bookings AS b
WHERE b.account_id = a.id AND a.test_of IS NOT NULL AND b.gone_at IS NOT NULL AND b.forgotten = 0
    AND b.gone_at <= :before + a.clock_ahead_ms
LIMIT :at_most
{skip locked b};
