-- name: insert_account!
INSERT INTO accounts (id, name, webhook_secret, created_at) VALUES (:id, :name, :webhook_secret, :created_at);

-- name: account_by_name^
SELECT id, name, webhook_secret, created_at FROM accounts WHERE name = :name;

-- name: account_by_id^
SELECT id, name, webhook_secret, created_at FROM accounts WHERE id = :id;

-- name: accounts_list
SELECT id, name, created_at FROM accounts ORDER BY id;

-- name: insert_api_key!
INSERT INTO api_keys (id, account_id, digest, hint, created_at, revoked_at)
VALUES (:id, :account_id, :digest, :hint, :created_at, NULL);

-- name: account_of_key_digest^
SELECT account_id FROM api_keys WHERE digest = :digest AND revoked_at IS NULL;
