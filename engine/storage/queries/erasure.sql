-- Erasure looks for a number in every table. No index leads to it, so each table is scanned in windows of its primary
-- key, each in its own transaction. `…_window` returns where the next window ends.

-- name: bookings_window$
SELECT MAX(w.id) FROM (SELECT id FROM bookings WHERE id > :after ORDER BY id LIMIT :at_most) AS w;

-- name: grants_window$
SELECT MAX(w.id) FROM (SELECT id FROM grants WHERE id > :after ORDER BY id LIMIT :at_most) AS w;

-- name: calls_window$
SELECT MAX(w.id) FROM (SELECT call_id AS id FROM calls WHERE call_id > :after ORDER BY call_id LIMIT :at_most) AS w;

-- name: cdrs_window$
SELECT MAX(w.id) FROM (SELECT id FROM cdrs WHERE id > :after ORDER BY id LIMIT :at_most) AS w;

-- name: outbox_window$
SELECT MAX(w.id) FROM (SELECT id FROM outbox WHERE id > :after ORDER BY id LIMIT :at_most) AS w;

-- name: bookings_with_number
SELECT {bookings} FROM bookings
WHERE id > :after AND id <= :last AND (
    destination = :number OR callback LIKE '%' || :digits || '%'
    OR label LIKE '%' || :digits || '%' OR metadata LIKE '%' || :digits || '%'
);

-- name: grants_with_number
SELECT id, reason FROM grants WHERE id > :after AND id <= :last AND reason LIKE '%' || :digits || '%';

-- name: set_grant_reason!
UPDATE grants SET reason = :reason WHERE id = :id;

-- name: erase_from_calls!
-- Some telephones write their number into the Call-ID, perhaps with 00 or + before it. A longer number stays.
UPDATE calls SET
    source = CASE WHEN source = :number THEN 'erased' ELSE source END,
    destination = CASE WHEN destination = :number THEN 'erased' ELSE destination END,
    sip_call_id = CASE WHEN '.' || sip_call_id || '.' GLOB :alone
        OR '.' || sip_call_id || '.' GLOB :after_zeros
        THEN 'erased' ELSE sip_call_id END
WHERE call_id > :after AND call_id <= :last
    AND (source = :number OR destination = :number
        OR '.' || sip_call_id || '.' GLOB :alone
        OR '.' || sip_call_id || '.' GLOB :after_zeros);

-- name: erase_from_cdrs!
UPDATE cdrs SET
    source = CASE WHEN source = :number THEN 'erased' ELSE source END,
    destination = CASE WHEN destination = :number THEN 'erased' ELSE destination END,
    sip_call_id = CASE WHEN '.' || sip_call_id || '.' GLOB :alone
        OR '.' || sip_call_id || '.' GLOB :after_zeros
        THEN 'erased' ELSE sip_call_id END
WHERE id > :after AND id <= :last
    AND (source = :number OR destination = :number
        OR '.' || sip_call_id || '.' GLOB :alone
        OR '.' || sip_call_id || '.' GLOB :after_zeros);

-- name: callbacks_with_number
SELECT id, url, body FROM outbox
WHERE id > :after AND id <= :last AND (url LIKE '%' || :digits || '%' OR body LIKE '%' || :digits || '%');

-- name: set_callback_body!
UPDATE outbox SET body = :body WHERE id = :id;

-- name: delete_callback!
DELETE FROM outbox WHERE id = :id;

-- name: callback_attempts_window$
-- A window of callbacks: the attempts of one callback are scanned together.
SELECT MAX(w.id) FROM (SELECT id FROM outbox WHERE id > :after ORDER BY id LIMIT :at_most) AS w;

-- name: responses_with_number
SELECT callback_id, attempt, response FROM callback_attempts
WHERE callback_id > :after AND callback_id <= :last AND response LIKE '%' || :digits || '%';

-- name: set_response!
UPDATE callback_attempts SET response = :response WHERE callback_id = :callback_id AND attempt = :attempt;

-- name: callback_endpoints_window$
SELECT MAX(w.id) FROM (SELECT id FROM callback_endpoints WHERE id > :after ORDER BY id LIMIT :at_most) AS w;

-- name: endpoints_with_number
SELECT id, url FROM callback_endpoints WHERE id > :after AND id <= :last AND url LIKE '%' || :digits || '%';

-- name: delete_endpoint!
DELETE FROM callback_endpoints WHERE id = :id;

-- name: erase_blocked_caller!
DELETE FROM blocked_callers WHERE caller = :number;
