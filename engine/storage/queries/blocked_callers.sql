-- name: blocked_count$
SELECT COUNT(*) FROM blocked_callers WHERE booking_id = :booking_id;

-- name: blocked_caller^
SELECT caller, created_at FROM blocked_callers WHERE booking_id = :booking_id AND caller = :caller;

-- name: insert_blocked!
INSERT INTO blocked_callers (booking_id, caller, created_at) VALUES (:booking_id, :caller, :created_at);

-- name: delete_blocked!
DELETE FROM blocked_callers WHERE booking_id = :booking_id AND caller = :caller;

-- name: delete_all_blocked!
DELETE FROM blocked_callers WHERE booking_id = :booking_id;

-- name: blocked_page
SELECT caller, created_at FROM blocked_callers WHERE booking_id = :booking_id AND caller > :after
ORDER BY caller
LIMIT :at_most;
