-- name: refused_calls_of^
SELECT began_at, recorded, cdr_id FROM refused_calls WHERE booking_id = :booking_id AND disposition = :disposition;

-- name: set_refused_calls!
INSERT INTO refused_calls (booking_id, disposition, began_at, recorded, cdr_id)
VALUES (:booking_id, :disposition, :began_at, :recorded, :cdr_id)
ON CONFLICT (booking_id, disposition) DO UPDATE SET
    began_at = excluded.began_at, recorded = excluded.recorded, cdr_id = excluded.cdr_id;

-- name: delete_refused_calls!
DELETE FROM refused_calls WHERE booking_id = :booking_id;

-- name: count_further_call!
UPDATE cdrs SET further_calls = further_calls + 1 WHERE id = :cdr_id;

-- name: insert_counted_call!
INSERT INTO counted_calls (call_id, counted_at) VALUES (:call_id, :now);

-- name: delete_counted_calls!
DELETE FROM counted_calls
WHERE call_id IN (SELECT call_id FROM counted_calls WHERE counted_at <= :before ORDER BY counted_at LIMIT :at_most {skip locked}) {by values};
