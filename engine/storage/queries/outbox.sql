-- name: insert_callback!
-- `created_at`: by the account's own clock. It is due by the machine's, which delivers it.
INSERT INTO outbox (
    id, account_id, booking_id, url, body, state, attempts, created_at, due_at, finished_at, last_outcome
) VALUES (
    :id, :account_id, :booking_id, :url, :body, 'PENDING', 0, :created_at,
    :created_at - (SELECT a.clock_ahead_ms FROM accounts AS a WHERE a.id = :account_id), NULL, NULL
);

-- name: line_up_due_callbacks
-- What is due now, pushed ahead for as long as a worker may keep it in its line. That counts no attempt: a worker
-- that dies leaves it to the next one.
UPDATE outbox SET due_at = :held_until
WHERE id IN (
    SELECT o.id FROM outbox AS o WHERE o.state = 'PENDING' AND o.due_at <= :now ORDER BY o.due_at LIMIT :at_most
)
RETURNING id, url, attempts;

-- name: begin_callback_attempt
-- Counted before it is sent, so that `attempts` fences off every other worker that has the same row in its line.
UPDATE outbox SET attempts = attempts + 1, due_at = :claimed_until
WHERE id = :id AND state = 'PENDING' AND attempts = :attempts
RETURNING id, account_id, url, body, attempts, created_at,
    (SELECT a.webhook_secret FROM accounts AS a WHERE a.id = outbox.account_id) AS webhook_secret;

-- name: finish_callback!
UPDATE outbox SET state = :state, finished_at = :now, last_outcome = :outcome
WHERE id = :id AND state = 'PENDING' AND attempts = :attempts;

-- name: postpone_callback!
UPDATE outbox SET due_at = :due_at, last_outcome = :outcome
WHERE id = :id AND state = 'PENDING' AND attempts = :attempts;

-- name: next_callback_due_at$
SELECT MIN(due_at) FROM outbox WHERE state = 'PENDING';

-- name: callback_counts^
-- `late`: due before that instant and not tried; `failed`: given up since then.
SELECT
    (SELECT COUNT(*) FROM outbox WHERE state = 'PENDING') AS pending,
    (SELECT COUNT(*) FROM outbox WHERE state = 'PENDING' AND due_at < :due_before) AS late,
    (SELECT COUNT(*) FROM outbox WHERE state = 'FAILED' AND finished_at > :since) AS failed;
