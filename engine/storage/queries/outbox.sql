-- name: insert_callback!
INSERT INTO outbox (
    id, account_id, booking_id, url, body, state, attempts, created_at, due_at, finished_at, last_outcome
) VALUES (
    :id, :account_id, :booking_id, :url, :body, 'PENDING', 0, :created_at, :created_at, NULL, NULL
);

-- name: claim_due_callbacks
-- What is due now, pushed ahead by the time that an attempt may take: a worker that dies leaves it to the next.
UPDATE outbox SET attempts = attempts + 1, due_at = :claimed_until
WHERE id IN (
    SELECT o.id FROM outbox AS o WHERE o.state = 'PENDING' AND o.due_at <= :now ORDER BY o.due_at LIMIT :at_most
)
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
