-- name: webhook_secrets_of^
SELECT webhook_secret, old_webhook_secret, old_secret_until FROM accounts WHERE id = :account_id;

-- name: rotate_webhook_secret!
UPDATE accounts SET old_webhook_secret = webhook_secret, old_secret_until = :until, webhook_secret = :secret
WHERE id = :account_id;

-- name: forget_old_webhook_secrets!
UPDATE accounts SET old_webhook_secret = NULL, old_secret_until = NULL WHERE old_secret_until <= :now {by values};
