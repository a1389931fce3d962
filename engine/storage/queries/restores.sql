-- The marks of the database file (engine/storage/marks.py), and what a restore does to rows.

-- name: storage_marks^
SELECT database_id, sequence, base, log FROM storage_marks WHERE id = 1;

-- name: beat_storage_mark$
UPDATE storage_marks SET sequence = sequence + 1 WHERE id = 1 RETURNING sequence;

-- name: begin_storage_log$
UPDATE storage_marks SET sequence = sequence + 1, base = :base, log = :log WHERE id = 1 RETURNING sequence;

-- name: rename_database!
UPDATE storage_marks SET database_id = :database_id, sequence = sequence + 1 WHERE id = 1;

-- name: insert_restore!
INSERT INTO restores (restored_at, backup_at, hold_until) VALUES (:restored_at, :backup_at, :hold_until);

-- name: numbers_held_until$
SELECT MAX(hold_until) FROM restores;

-- name: newest_ids
-- Ids begin with the time at which they were made, by the machine's clock.
SELECT MAX(id) AS id FROM bookings
UNION ALL SELECT MAX(id) FROM grants
UNION ALL SELECT MAX(id) FROM cdrs
UNION ALL SELECT MAX(id) FROM outbox
UNION ALL SELECT MAX(id) FROM accounts
UNION ALL SELECT MAX(id) FROM api_keys;

-- name: calls_up_after_restore
SELECT call_id FROM calls WHERE ended_at IS NULL;

-- name: quarantine_all_but_held!
-- Whatever is not held by a booking here may be held by one that is not here. A shared number stays one, and takes no new
-- pairs for as long.
UPDATE numbers SET
    state = CASE WHEN state IN ('RETIRED', 'SHARED') THEN state ELSE 'QUARANTINED' END,
    quarantined_until = CASE WHEN quarantined_until > :until THEN quarantined_until ELSE :until END
WHERE NOT EXISTS (
    SELECT 1 FROM bookings AS b WHERE b.service = numbers.e164 AND b.gone_at IS NULL AND b.partner IS NULL
);

-- name: book_all_held!
UPDATE numbers SET state = 'BOOKED', quarantined_until = NULL, quarantined_by = NULL
WHERE state <> 'BOOKED' AND EXISTS (
    SELECT 1 FROM bookings AS b WHERE b.service = numbers.e164 AND b.gone_at IS NULL AND b.partner IS NULL
);

-- name: booked_without_booking
-- Numbers that are booked although no booking holds them.
SELECT n.e164 FROM numbers AS n
WHERE n.state = 'BOOKED'
    AND NOT EXISTS (
        SELECT 1 FROM bookings AS b WHERE b.service = n.e164 AND b.gone_at IS NULL AND b.partner IS NULL
    )
LIMIT :at_most;

-- name: held_but_not_booked
-- Bookings of customers that hold a number which the pool could give to somebody else, or does not have; and pairs whose
-- number is not a shared one, or not theirs.
SELECT b.id FROM bookings AS b
WHERE b.gone_at IS NULL AND b.service NOT LIKE '+999%'
    AND NOT (
        EXISTS (
            SELECT 1 FROM numbers AS n
            WHERE n.e164 = b.service AND n.state = CASE WHEN b.partner IS NULL THEN 'BOOKED' ELSE 'SHARED' END
        )
        AND (b.partner IS NULL OR 2 = (
            SELECT COUNT(*) FROM pair_callers AS p
            WHERE p.service = b.service AND p.number IN (b.destination, b.partner) AND p.booking_id = b.id
        ))
    )
LIMIT :at_most;

-- name: numbers_stored
-- Every column that is a telephone number by itself.
SELECT destination AS number FROM bookings WHERE forgotten = 0
UNION ALL SELECT partner FROM bookings WHERE forgotten = 0 AND partner IS NOT NULL
UNION ALL SELECT number FROM pair_callers
UNION ALL SELECT source FROM calls UNION ALL SELECT destination FROM calls
UNION ALL SELECT source FROM cdrs UNION ALL SELECT destination FROM cdrs
UNION ALL SELECT caller FROM blocked_callers
UNION ALL SELECT number FROM proxy_participants WHERE number IS NOT NULL;

-- name: prefixes_of_numbers
-- The beginnings of the pool's and the hidden numbers, which have their country codes.
SELECT DISTINCT SUBSTR(e164, 1, 4) AS prefix FROM numbers
UNION SELECT DISTINCT SUBSTR(destination, 1, 4) FROM bookings
UNION SELECT DISTINCT SUBSTR(number, 1, 4) FROM pair_callers;

-- name: texts_with_numbers
-- Every text in which a telephone number may stand.
SELECT callback || ' ' || label || ' ' || destination_label || ' ' || partner_label || ' ' || metadata AS content FROM bookings WHERE forgotten = 0
UNION ALL SELECT url || ' ' || body FROM outbox
UNION ALL SELECT unique_name || ' ' || callback_url || ' ' || out_of_session_callback_url FROM proxy_services
UNION ALL SELECT unique_name FROM proxy_sessions WHERE unique_name IS NOT NULL
UNION ALL SELECT name FROM proxy_participants WHERE name IS NOT NULL
UNION ALL SELECT response FROM callback_attempts
UNION ALL SELECT url FROM callback_endpoints
UNION ALL SELECT reason FROM grants WHERE reason IS NOT NULL
UNION ALL SELECT suspended_reason FROM accounts WHERE suspended_reason IS NOT NULL
UNION ALL SELECT body || ' ' || idempotency_key FROM kept_answers
UNION ALL SELECT sip_call_id FROM calls WHERE sip_call_id IS NOT NULL
UNION ALL SELECT sip_call_id FROM cdrs WHERE sip_call_id IS NOT NULL;
