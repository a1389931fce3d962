-- Erasure searches every text that may hold a telephone number. No index leads to a number that may be spelled in any
-- way, so each table is read in the order of its primary key, some rows at a time. `key` and `key_2` are that key.

-- name: bookings_to_search
SELECT id AS key, '' AS key_2, destination, partner, callback, label, destination_label, partner_label, metadata
FROM bookings
WHERE id > :after ORDER BY id LIMIT :at_most {lock};

-- name: calls_to_search
-- Sources and destinations are digits. Only those that end like the number, or have other signs, are returned. Some
-- telephones write their number into the SIP Call-ID.
SELECT
    call_id AS key, '' AS key_2,
    CASE WHEN source LIKE '%' || :tail OR TRIM(source, '+0123456789abcdefghijklmnopqrstuvwxyz') <> '' THEN source ELSE '' END AS source,
    CASE WHEN destination LIKE '%' || :tail OR TRIM(destination, '+0123456789abcdefghijklmnopqrstuvwxyz') <> '' THEN destination ELSE '' END AS destination,
    CASE WHEN sip_call_id LIKE '%' || :tail || '%' THEN sip_call_id ELSE '' END AS sip_call_id
FROM calls WHERE call_id > :after ORDER BY call_id LIMIT :at_most;

-- name: cdrs_to_search
SELECT
    id AS key, '' AS key_2,
    CASE WHEN source LIKE '%' || :tail OR TRIM(source, '+0123456789abcdefghijklmnopqrstuvwxyz') <> '' THEN source ELSE '' END AS source,
    CASE WHEN destination LIKE '%' || :tail OR TRIM(destination, '+0123456789abcdefghijklmnopqrstuvwxyz') <> '' THEN destination ELSE '' END AS destination,
    CASE WHEN sip_call_id LIKE '%' || :tail || '%' THEN sip_call_id ELSE '' END AS sip_call_id
FROM cdrs WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: outbox_to_search
SELECT id AS key, '' AS key_2, account_id, url, body, attempts FROM outbox WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: callback_attempts_to_search
SELECT callback_id AS key, attempt AS key_2, response FROM callback_attempts
WHERE (callback_id, attempt) > (:after, :after_2) ORDER BY callback_id, attempt LIMIT :at_most;

-- name: callback_endpoints_to_search
SELECT id AS key, '' AS key_2, url FROM callback_endpoints WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: grants_to_search
SELECT id AS key, '' AS key_2, reason FROM grants WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: accounts_to_search
SELECT id AS key, '' AS key_2, suspended_reason FROM accounts WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: kept_answers_to_search
SELECT account_id AS key, idempotency_key AS key_2, body FROM kept_answers
WHERE (account_id, idempotency_key) > (:after, :after_2) ORDER BY account_id, idempotency_key LIMIT :at_most;

-- name: pair_callers_to_search
SELECT service AS key, number AS key_2 FROM pair_callers
WHERE (service, number) > (:after, :after_2) ORDER BY service, number LIMIT :at_most;

-- name: blocked_callers_to_search
SELECT booking_id AS key, caller AS key_2 FROM blocked_callers
WHERE (booking_id, caller) > (:after, :after_2) ORDER BY booking_id, caller LIMIT :at_most;

-- name: proxy_participants_to_search
SELECT id AS key, '' AS key_2, number, name FROM proxy_participants WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: proxy_sessions_to_search
SELECT id AS key, '' AS key_2, unique_name FROM proxy_sessions WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: proxy_services_to_search
SELECT id AS key, '' AS key_2, unique_name, callback_url, out_of_session_callback_url FROM proxy_services
WHERE id > :after ORDER BY id LIMIT :at_most;

-- name: reached_callers_to_search
SELECT service AS key, digest AS key_2 FROM reached_callers
WHERE (service, digest) > (:after, :after_2) ORDER BY service, digest LIMIT :at_most;

-- name: set_call_numbers!
UPDATE calls SET
    source = CASE WHEN :source THEN 'erased' ELSE source END,
    destination = CASE WHEN :destination THEN 'erased' ELSE destination END,
    sip_call_id = CASE WHEN :sip_call_id THEN 'erased' ELSE sip_call_id END
WHERE call_id = :id;

-- name: set_cdr_numbers!
UPDATE cdrs SET
    source = CASE WHEN :source THEN 'erased' ELSE source END,
    destination = CASE WHEN :destination THEN 'erased' ELSE destination END,
    sip_call_id = CASE WHEN :sip_call_id THEN 'erased' ELSE sip_call_id END
WHERE id = :id;

-- name: set_grant_reason!
UPDATE grants SET reason = :reason WHERE id = :id;

-- name: set_suspended_reason!
UPDATE accounts SET suspended_reason = :reason WHERE id = :id;

-- name: set_callback_body!
UPDATE outbox SET body = :body WHERE id = :id;

-- name: delete_callback!
DELETE FROM outbox WHERE id = :id;

-- name: set_response!
UPDATE callback_attempts SET response = :response WHERE callback_id = :callback_id AND attempt = :attempt;

-- name: delete_endpoint!
DELETE FROM callback_endpoints WHERE id = :id;

-- name: delete_kept_answer!
DELETE FROM kept_answers WHERE account_id = :account_id AND idempotency_key = :idempotency_key;

-- name: delete_pair_caller!
-- Of a pair that is gone: erasure ends those that have the number before.
DELETE FROM pair_callers WHERE service = :service AND number = :number AND booking_id IS NULL;

-- name: delete_session_name!
UPDATE proxy_sessions SET unique_name = NULL WHERE id = :id;

-- name: replace_service_name!
UPDATE proxy_services SET unique_name = id WHERE id = :id;

-- name: delete_blocked_caller!
DELETE FROM blocked_callers WHERE booking_id = :booking_id AND caller = :caller;
