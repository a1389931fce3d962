-- name: kept_answer^
SELECT fingerprint, status, location, body, kept_at FROM kept_answers
WHERE account_id = :account_id AND idempotency_key = :idempotency_key;

-- name: keep_answer!
INSERT INTO kept_answers (account_id, idempotency_key, fingerprint, status, location, body, kept_at)
VALUES (:account_id, :idempotency_key, :fingerprint, :status, :location, :body, :kept_at)
ON CONFLICT (account_id, idempotency_key) DO UPDATE SET
    fingerprint = excluded.fingerprint, status = excluded.status, location = excluded.location,
    body = excluded.body, kept_at = excluded.kept_at;

-- name: delete_kept_answers!
DELETE FROM kept_answers WHERE (account_id, idempotency_key) IN (
    SELECT a.account_id, a.idempotency_key FROM kept_answers AS a
    WHERE a.kept_at <= :before ORDER BY a.kept_at LIMIT :at_most {skip locked}
) {by values};
