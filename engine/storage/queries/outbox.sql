-- name: next_callback_sequence
-- See also update_credit_and_count.
UPDATE bookings SET callbacks_posted = callbacks_posted + 1 WHERE id = :booking_id RETURNING callbacks_posted;

-- name: insert_callback!
-- `created_at` is by the account's clock, `due_at` by the machine's. A test event is about no booking: its
-- `booking_id` is empty.
INSERT INTO outbox (
    id, account_id, booking_id, call_id, url, body, state, attempts, created_at, due_at, finished_at, last_outcome
) VALUES (
    :id, :account_id, :booking_id, :call_id, :url, :body, 'PENDING', 0, :created_at,
    :created_at - (SELECT a.clock_ahead_ms FROM accounts AS a WHERE a.id = :account_id), NULL, NULL
);

-- name: accounts_with_callbacks
-- The accounts after `after` that have callbacks to deliver, and when the first of each is due. Each step looks up the
-- next account, so this reads as many rows as there are accounts.
WITH RECURSIVE pending (account_id) AS (
    SELECT MIN(o.account_id) FROM outbox AS o WHERE o.state = 'PENDING' AND o.account_id > :after
    UNION ALL
    SELECT (SELECT MIN(o.account_id) FROM outbox AS o WHERE o.state = 'PENDING' AND o.account_id > pending.account_id)
    FROM pending WHERE pending.account_id IS NOT NULL
)
SELECT
    pending.account_id,
    (SELECT MIN(o.due_at) FROM outbox AS o WHERE o.state = 'PENDING' AND o.account_id = pending.account_id) AS due_at
FROM pending WHERE pending.account_id IS NOT NULL
LIMIT :at_most;

-- name: line_up_due_callbacks
-- Callbacks of an account that are due now. They are due again at `held_until`; until then the worker may keep them in
-- its queue. This counts no attempt: if the worker dies, the next one takes them.
UPDATE outbox SET due_at = :held_until, claimed = 1
WHERE id IN (
    SELECT o.id FROM outbox AS o
    WHERE o.state = 'PENDING' AND o.account_id = :account_id AND o.due_at <= :now
    ORDER BY o.due_at
    LIMIT :at_most
    {skip locked}
)
RETURNING id, account_id, url, attempts, redelivered_at IS NOT NULL AS is_redelivered,
    booking_id = '' AS is_test, (
    SELECT e.is_quick FROM callback_endpoints AS e WHERE e.account_id = outbox.account_id AND e.url = outbox.url
) AS is_quick, EXISTS (
    SELECT 1 FROM callback_endpoints AS e
    WHERE e.account_id = outbox.account_id AND e.url = outbox.url AND e.disabled_at IS NOT NULL
) AS is_disabled;

-- name: hold_callback*!
-- It stays held until its endpoint is enabled.
UPDATE outbox SET state = 'HELD', finished_at = :now, claimed = 0
WHERE id = :id AND state = 'PENDING' AND EXISTS (
    SELECT 1 FROM callback_endpoints AS e
    WHERE e.account_id = outbox.account_id AND e.url = outbox.url AND e.disabled_at IS NOT NULL
);

-- name: begin_callback_attempt
-- Counts the attempt before it is made, so that no other worker that has the same row in its queue can begin it or
-- store a result. If its endpoint was disabled meanwhile it does not begin: it is due again soon, and then held.
UPDATE outbox SET attempts = attempts + 1, due_at = :claimed_until
WHERE id = :id AND state = 'PENDING' AND attempts = :attempts
    AND NOT EXISTS (
        SELECT 1 FROM callback_endpoints AS e
        WHERE e.account_id = outbox.account_id AND e.url = outbox.url AND e.disabled_at IS NOT NULL
    )
RETURNING id, account_id, url, body, attempts, attempts - attempts_before AS tries, created_at,
    booking_id = '' AS is_test,
    (SELECT a.webhook_secret FROM accounts AS a WHERE a.id = outbox.account_id) AS webhook_secret,
    (SELECT a.old_webhook_secret FROM accounts AS a WHERE a.id = outbox.account_id) AS old_webhook_secret,
    (SELECT a.old_secret_until FROM accounts AS a WHERE a.id = outbox.account_id) AS old_secret_until;

-- name: finish_callback!
-- `state`: DELIVERED, FAILED or HELD.
UPDATE outbox SET state = :state, finished_at = :now, last_outcome = :outcome, claimed = 0
WHERE id = :id AND state = 'PENDING' AND attempts = :attempts;

-- name: postpone_callback!
UPDATE outbox SET due_at = :due_at, last_outcome = :outcome, claimed = 0
WHERE id = :id AND state = 'PENDING' AND attempts = :attempts;

-- name: next_callback_due_at$
-- MIN() would let PostgreSQL read all of them while it knows nothing about a young table.
SELECT due_at FROM outbox WHERE state = 'PENDING' AND account_id = :account_id ORDER BY due_at LIMIT 1;

-- name: callback_counts^
-- `late`: due before `due_before` and still pending. `failed`: given up since `since`. Test events, which may fail, do
-- not count.
SELECT
    (SELECT COUNT(*) FROM outbox WHERE state = 'PENDING') AS pending,
    (SELECT COUNT(*) FROM outbox WHERE state = 'PENDING' AND due_at < :due_before) AS late,
    (SELECT COUNT(*) FROM outbox WHERE state = 'FAILED' AND finished_at > :since AND booking_id <> '') AS failed;

-- name: redeliver_callback!
-- Its schedule starts again. Not a callback that a worker has in its queue or is sending, nor one that was sent again
-- after `unless_since`.
UPDATE outbox SET state = 'PENDING', due_at = :now, finished_at = NULL, attempts_before = attempts,
    claimed = 0, redelivered_at = :now
WHERE id = :id AND (state <> 'PENDING' OR claimed = 0)
    AND (redelivered_at IS NULL OR redelivered_at <= :unless_since);

-- name: callbacks_due$
SELECT COUNT(*) FROM (
    SELECT 1 FROM outbox WHERE state = 'PENDING' AND account_id = :account_id AND due_at <= :until LIMIT :at_most
) AS due;

-- name: callback_redelivered_at$
SELECT redelivered_at FROM outbox WHERE id = :id;

-- name: callback_place_after^
-- The position after the first `skipped` callbacks of a range, oldest first. Reads only the index.
SELECT created_at, id FROM outbox
WHERE account_id = :account_id AND (created_at, id) > (:after_at, :after_id) AND created_at < :until
ORDER BY created_at, id
LIMIT 1 OFFSET :skipped;

-- name: callbacks_to_redeliver
-- Of those up to the position (`last_at`, `last_id`), oldest first.
SELECT created_at, id FROM outbox
WHERE account_id = :account_id AND (created_at, id) > (:after_at, :after_id) AND (created_at, id) <= (:last_at, :last_id)
    AND created_at < :until AND state = :state AND (state <> 'PENDING' OR claimed = 0)
ORDER BY created_at, id
LIMIT :at_most;

-- name: callbacks_failed_to_redeliver
-- Oldest first. The state is written out so that SQLite uses the index of this state.
SELECT created_at, id FROM outbox
WHERE account_id = :account_id AND state = 'FAILED' AND (created_at, id) > (:after_at, :after_id)
    AND created_at < :until
ORDER BY created_at, id
LIMIT :at_most;

-- name: insert_callback_attempt!
INSERT INTO callback_attempts (callback_id, attempt, began_at, took_ms, status, trouble, response)
VALUES (:callback_id, :attempt, :began_at, :took_ms, :status, :trouble, :response);

-- name: delete_callback_attempts!
DELETE FROM callback_attempts WHERE callback_id = :callback_id AND attempt <= :up_to;

-- name: callback_of_account^
SELECT id, booking_id, url, body, state, attempts, claimed, created_at, due_at, finished_at, last_outcome
FROM outbox WHERE id = :id AND account_id = :account_id;

-- name: owner_of_callback$
SELECT account_id FROM outbox WHERE id = :id;

-- name: callback_attempts_of
SELECT attempt, began_at, took_ms, status, trouble, response FROM callback_attempts
WHERE callback_id = :callback_id ORDER BY attempt;

-- name: callback_place_before^
-- The position after the first `skipped` callbacks of a range, newest first. Reads only the index.
SELECT created_at, id FROM outbox
WHERE account_id = :account_id AND (created_at, id) < (:before_at, :before_id) AND created_at >= :since
ORDER BY created_at DESC, id DESC
LIMIT 1 OFFSET :skipped;

-- name: callbacks_page
-- Newest first, created since `since` and before the position (`before_at`, `before_id`).
SELECT id, booking_id, url, '' AS body, state, attempts, claimed, created_at, due_at, finished_at, last_outcome
FROM outbox
WHERE account_id = :account_id AND created_at >= :since AND (created_at, id) < (:before_at, :before_id)
ORDER BY created_at DESC, id DESC
LIMIT :at_most;

-- name: callbacks_page_failed
-- The state is written out so that SQLite uses the index of this state.
SELECT id, booking_id, url, '' AS body, state, attempts, claimed, created_at, due_at, finished_at, last_outcome
FROM outbox
WHERE account_id = :account_id AND state = 'FAILED' AND created_at >= :since
    AND (created_at, id) < (:before_at, :before_id)
ORDER BY created_at DESC, id DESC
LIMIT :at_most;

-- name: callbacks_page_held
-- As above.
SELECT id, booking_id, url, '' AS body, state, attempts, claimed, created_at, due_at, finished_at, last_outcome
FROM outbox
WHERE account_id = :account_id AND state = 'HELD' AND created_at >= :since
    AND (created_at, id) < (:before_at, :before_id)
ORDER BY created_at DESC, id DESC
LIMIT :at_most;

-- name: callbacks_page_filtered
-- Of those from the position (`last_at`, `last_id`) on. A filter that is NULL lets everything through.
SELECT id, booking_id, url, '' AS body, state, attempts, claimed, created_at, due_at, finished_at, last_outcome
FROM outbox
WHERE account_id = :account_id AND (created_at, id) < (:before_at, :before_id)
    AND (created_at, id) >= (:last_at, :last_id)
    AND (CAST(:booking_id AS TEXT) IS NULL OR booking_id = :booking_id)
    AND (CAST(:state AS TEXT) IS NULL OR state = :state)
    AND (CAST(:call_id AS TEXT) IS NULL OR call_id = :call_id)
ORDER BY created_at DESC, id DESC
LIMIT :at_most;
