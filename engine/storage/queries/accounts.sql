-- name: insert_account!
INSERT INTO accounts (id, name, webhook_secret, created_at, test_of)
VALUES (:id, :name, :webhook_secret, :created_at, :test_of);

-- name: account_by_name^
SELECT id, name, webhook_secret, created_at, test_of FROM accounts WHERE name = :name;

-- name: account_by_id^
SELECT id, name, webhook_secret, created_at, test_of FROM accounts WHERE id = :id;

-- name: accounts_list
SELECT id, name, test_of, created_at FROM accounts ORDER BY id;

-- name: insert_api_key!
INSERT INTO api_keys (id, account_id, digest, hint, created_at, revoked_at)
VALUES (:id, :account_id, :digest, :hint, :created_at, NULL);

-- name: api_key_of_digest^
SELECT k.id, k.account_id, a.test_of, a.clock_ahead_ms
FROM api_keys AS k JOIN accounts AS a ON a.id = k.account_id
WHERE k.digest = :digest AND k.revoked_at IS NULL;

-- name: api_keys_of
SELECT id, hint, created_at, last_used_at, revoked_at FROM api_keys WHERE account_id = :account_id ORDER BY id;

-- name: note_api_key_use!
UPDATE api_keys SET last_used_at = :at WHERE id = :id AND (last_used_at IS NULL OR last_used_at < :at);

-- name: revoke_api_key!
UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL;

-- name: api_key_revoked_at$
SELECT revoked_at FROM api_keys WHERE id = :id;
