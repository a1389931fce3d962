-- What a command locks before it reads what it will decide on. A statement sees what was committed before it began, so
-- the lock is a statement of its own, before the one that reads. SQLite has one writer and needs none of this: there,
-- these do nothing (see __init__.py).

-- name: lock_booking!
SELECT 1 FROM bookings WHERE id = :id FOR NO KEY UPDATE;

-- name: lock_booking_holding!
SELECT 1 FROM bookings
WHERE gone_at IS NULL AND service = :service AND id = COALESCE(
    (SELECT s.id FROM bookings AS s WHERE s.service = :service AND s.gone_at IS NULL AND s.partner IS NULL),
    (SELECT p.booking_id FROM pair_callers AS p WHERE p.service = :service AND p.number = CAST(:asserted AS TEXT)),
    (SELECT i.booking_id FROM pair_pins AS i WHERE i.service = :service AND i.pin = CAST(:pin AS TEXT))
)
FOR NO KEY UPDATE;

-- name: lock_booking_of_call!
SELECT 1 FROM bookings WHERE id = (SELECT booking_id FROM calls WHERE call_id = :call_id) FOR NO KEY UPDATE;

-- name: lock_account!
SELECT 1 FROM accounts WHERE id = :id FOR NO KEY UPDATE;

-- name: lock_proxy_service!
SELECT 1 FROM proxy_services WHERE id = :id AND account_id = :account_id FOR NO KEY UPDATE;

-- name: lock_endpoint!
SELECT 1 FROM callback_endpoints WHERE account_id = :account_id AND url = :url FOR NO KEY UPDATE;

-- name: lock_answer!
-- Claims an idempotency key. Of several transactions with one key the first writes the claim, whose status is 0, and the
-- others wait until it has ended. Then they find its answer, or write the claim themselves.
INSERT INTO kept_answers (account_id, idempotency_key, fingerprint, status, location, body, kept_at)
VALUES (:account_id, :idempotency_key, '', 0, NULL, '', :now)
ON CONFLICT (account_id, idempotency_key) DO UPDATE SET status = kept_answers.status;

-- name: lock_keeper!
-- Others may hold it too, but nobody can take the Asterisk over before the transaction ends.
SELECT 1 FROM keepers WHERE asterisk = :asterisk AND engine = :engine FOR SHARE;
