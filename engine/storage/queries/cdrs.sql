-- name: insert_cdr!
INSERT INTO cdrs (
    id, account_id, booking_id, call_id, started_at, duration, source, service, destination, disposition
) VALUES (
    :id, :account_id, :booking_id, :call_id, :started_at, :duration, :source, :service, :destination, :disposition
);

-- name: cdr_by_id^
SELECT * FROM cdrs WHERE account_id = :account_id AND id = :id;

-- name: cdr_of_call$
SELECT COUNT(*) FROM cdrs WHERE call_id = :call_id;

-- name: cdrs_page
SELECT * FROM cdrs WHERE account_id = :account_id AND id < :before_id
ORDER BY id DESC
LIMIT :at_most;
