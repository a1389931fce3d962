-- name: note_endpoint_success!
-- A disabled endpoint stays disabled and keeps its `failing_since`.
INSERT INTO callback_endpoints (id, account_id, url, last_attempt_at, is_quick)
VALUES (:id, :account_id, :url, :now, :is_quick)
ON CONFLICT (account_id, url) DO UPDATE SET
    last_attempt_at = :now,
    is_quick = :is_quick,
    failing_since = CASE
        WHEN callback_endpoints.disabled_at IS NULL THEN NULL ELSE callback_endpoints.failing_since
    END;

-- name: note_endpoint_failure
INSERT INTO callback_endpoints (id, account_id, url, last_attempt_at, failing_since, is_quick)
VALUES (:id, :account_id, :url, :now, :now, 0)
ON CONFLICT (account_id, url) DO UPDATE SET
    last_attempt_at = :now, failing_since = COALESCE(callback_endpoints.failing_since, :now), is_quick = 0
RETURNING id, account_id, url, failing_since, disabled_at, reason;

-- name: disable_endpoint!
UPDATE callback_endpoints SET disabled_at = :now, reason = :reason, releasing = 0 WHERE id = :id;

-- name: enable_endpoint!
UPDATE callback_endpoints SET disabled_at = NULL, reason = NULL, failing_since = NULL, releasing = 1 WHERE id = :id;

-- name: endpoint_of_account^
SELECT id, account_id, url, failing_since, disabled_at, reason FROM callback_endpoints
WHERE id = :id AND account_id = :account_id;

-- name: owner_of_endpoint$
SELECT account_id FROM callback_endpoints WHERE id = :id;

-- name: endpoint_of_url^
SELECT id, account_id, url, failing_since, disabled_at, reason FROM callback_endpoints
WHERE account_id = :account_id AND url = :url;

-- name: endpoints_page
-- Newest first.
SELECT id, account_id, url, failing_since, disabled_at, reason FROM callback_endpoints
WHERE account_id = :account_id AND id < :before_id ORDER BY id DESC LIMIT :at_most;

-- name: endpoint_to_release^
SELECT id, account_id, url FROM callback_endpoints WHERE releasing = 1 ORDER BY id LIMIT 1;

-- name: release_held_callbacks!
-- Their schedule starts again, on request. Oldest first.
UPDATE outbox SET state = 'PENDING', due_at = :now, finished_at = NULL, attempts_before = attempts, claimed = 0,
    redelivered_at = :now
WHERE id IN (
    SELECT o.id FROM outbox AS o
    WHERE o.account_id = :account_id AND o.url = :url AND o.state = 'HELD'
    ORDER BY o.created_at
    LIMIT :at_most
    {lock}
);

-- name: endpoint_is_released!
UPDATE callback_endpoints SET releasing = 0 WHERE id = :id;

-- name: endpoints_tried
-- Of customers, enabled, the last tried first. CROSS JOIN makes SQLite begin with the endpoints, in their order.
SELECT e.url, e.last_attempt_at, e.failing_since FROM callback_endpoints AS e CROSS JOIN accounts AS a
WHERE e.last_attempt_at >= :since AND e.disabled_at IS NULL AND a.id = e.account_id AND a.test_of IS NULL
ORDER BY e.last_attempt_at DESC
LIMIT :at_most;

-- name: delete_unused_endpoints!
-- An endpoint is kept as long as callbacks are held for it.
DELETE FROM callback_endpoints WHERE id IN (
    SELECT e.id FROM callback_endpoints AS e
    WHERE e.last_attempt_at <= :before AND NOT EXISTS (
        SELECT 1 FROM outbox AS o WHERE o.account_id = e.account_id AND o.url = e.url AND o.state = 'HELD'
    )
    ORDER BY e.last_attempt_at
    LIMIT :at_most
    {skip locked e}
) {by values};
