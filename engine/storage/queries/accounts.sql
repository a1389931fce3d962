-- name: insert_account!
INSERT INTO accounts (id, name, webhook_secret, created_at, test_of, suspended_at, suspended_reason, closed_at)
VALUES (:id, :name, :webhook_secret, :created_at, :test_of, :suspended_at, :suspended_reason, :closed_at);

-- name: account_by_name^
SELECT id, name, webhook_secret, created_at, test_of, suspended_at, suspended_reason, closed_at
FROM accounts WHERE name = :name;

-- name: account_by_id^
SELECT id, name, webhook_secret, created_at, test_of, suspended_at, suspended_reason, closed_at
FROM accounts WHERE id = :id;

-- name: accounts_list
SELECT id, name, test_of, created_at, max_bookings, suspended_at, suspended_reason, closed_at FROM accounts ORDER BY id;

-- name: rename_account!
UPDATE accounts SET name = :name WHERE id = :id;

-- name: suspend_account!
-- A sandbox has the state of its customer's account. One that is suspended keeps its instant.
UPDATE accounts SET suspended_at = COALESCE(suspended_at, :now), suspended_reason = COALESCE(:reason, suspended_reason)
WHERE id = :id OR test_of = :id;

-- name: resume_account!
UPDATE accounts SET suspended_at = NULL, suspended_reason = NULL WHERE closed_at IS NULL AND (id = :id OR test_of = :id);

-- name: close_account!
UPDATE accounts SET suspended_at = COALESCE(suspended_at, :now), closed_at = :now
WHERE closed_at IS NULL AND (id = :id OR test_of = :id);

-- name: account_limits^
-- NULL: the operator's. A sandbox has those of its customer's account.
SELECT {o.limits} FROM accounts AS a JOIN accounts AS o ON o.id = COALESCE(a.test_of, a.id) WHERE a.id = :account_id;

-- name: stored_bytes_of$
SELECT stored_bytes FROM accounts WHERE id = :account_id;

-- name: set_account_limits!
UPDATE accounts SET ({limits}) = ({:limits}) WHERE id = :account_id;

-- name: account_seen^
-- Stops counting at `at_most`.
SELECT id, name, events, frame_origin, created_at, suspended_at, closed_at, (
    SELECT COUNT(*) FROM (
        SELECT 1 FROM bookings WHERE account_id = :account_id AND gone_at IS NULL LIMIT :at_most
    ) AS held
) AS bookings_held, (
    SELECT COUNT(*) FROM (
        SELECT 1 FROM numbers
        WHERE state = 'QUARANTINED' AND quarantined_by = :account_id AND quarantined_until > :now
        UNION ALL
        SELECT 1 FROM (
            SELECT DISTINCT last_booking_id, service FROM pair_callers
            WHERE quarantined_by = :account_id AND quarantined_until > :now
        ) AS pairs
        LIMIT :at_most
    ) AS given_back
) AS numbers_in_quarantine, (
    SELECT COUNT(*) FROM (
        SELECT 1 FROM bookings WHERE account_id = :account_id AND created_at > :since
        UNION ALL
        SELECT 1 FROM number_swaps WHERE account_id = :account_id AND swapped_at > :since
        LIMIT :at_most
    ) AS made
) AS new_bookings, (
    SELECT COUNT(*) FROM calls WHERE account_id = :account_id AND ended_at IS NULL
) AS calls_up
FROM accounts WHERE id = :account_id;

-- name: set_frame_origin!
UPDATE accounts SET frame_origin = :origin WHERE id = :account_id;

-- name: insert_api_key!
INSERT INTO api_keys (id, account_id, digest, hint, created_at, revoked_at)
VALUES (:id, :account_id, :digest, :hint, :created_at, NULL);

-- name: api_key_of_digest^
-- `requests_per_minute` is the customer's own limit, which also is its sandbox's.
SELECT
    k.id, k.account_id, a.test_of, a.clock_ahead_ms, o.requests_per_minute, a.suspended_at IS NOT NULL AS is_suspended
FROM api_keys AS k JOIN accounts AS a ON a.id = k.account_id JOIN accounts AS o ON o.id = COALESCE(a.test_of, a.id)
WHERE k.digest = :digest AND k.revoked_at IS NULL;

-- name: api_keys_of
SELECT id, hint, created_at, last_used_at, revoked_at FROM api_keys WHERE account_id = :account_id ORDER BY id;

-- name: note_api_key_use!
UPDATE api_keys SET last_used_at = :at WHERE id = :id AND (last_used_at IS NULL OR last_used_at < :at);

-- name: revoke_api_key!
UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL;

-- name: api_key_revoked_at$
SELECT revoked_at FROM api_keys WHERE id = :id;
