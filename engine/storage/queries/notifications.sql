-- name: events_chosen$
SELECT events FROM accounts WHERE id = :account_id;

-- name: choose_events!
UPDATE accounts SET events = :events WHERE id = :account_id;

-- name: any_events_chosen$
SELECT EXISTS (SELECT 1 FROM accounts WHERE events <> '');

-- name: insert_notice!
INSERT INTO notices (booking_id, kind, told_at) VALUES (:booking_id, :kind, :now)
ON CONFLICT (booking_id, kind) DO NOTHING;

-- name: delete_notice!
DELETE FROM notices WHERE booking_id = :booking_id AND kind = :kind;

-- name: delete_notices!
DELETE FROM notices WHERE booking_id = :booking_id;

-- name: notices_swept_to^
SELECT ends_at, booking_id FROM notices_swept WHERE kind = :kind {lock};

-- name: set_notices_swept!
INSERT INTO notices_swept (kind, ends_at, booking_id) VALUES (:kind, :ends_at, :booking_id)
ON CONFLICT (kind) DO UPDATE SET ends_at = excluded.ends_at, booking_id = excluded.booking_id;

-- name: bookings_ending
-- Customers' bookings whose time ends after the position (`after`, `after_id`) and up to `until`, in that order, with
-- the optional events that their accounts have chosen. Not those of sandboxes, which have their own clocks.
SELECT {b.bookings}, a.events FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
WHERE b.gone_at IS NULL AND b.exhausted_at IS NULL AND a.test_of IS NULL
    AND COALESCE(b.exhausted_at, b.end_at) >= :after AND COALESCE(b.exhausted_at, b.end_at) <= :until
    AND (b.end_at > :after OR b.id > :after_id)
ORDER BY COALESCE(b.exhausted_at, b.end_at), b.id
LIMIT :at_most;

-- name: bookings_of_account_ending
-- Bookings of one account for which this notification was not sent yet.
SELECT {b.bookings} FROM bookings AS b
WHERE b.account_id = :account_id AND b.gone_at IS NULL AND b.exhausted_at IS NULL
    AND b.end_at > :after AND b.end_at <= :until
    AND NOT EXISTS (SELECT 1 FROM notices AS n WHERE n.booking_id = b.id AND n.kind = :kind)
ORDER BY b.end_at, b.id
LIMIT :at_most;

-- name: expired_calls_of^
SELECT began_at, told, not_told, last_cdr_id FROM expired_calls WHERE booking_id = :booking_id;

-- name: set_expired_calls!
INSERT INTO expired_calls (booking_id, began_at, told, not_told, last_cdr_id)
VALUES (:booking_id, :began_at, :told, :not_told, :last_cdr_id)
ON CONFLICT (booking_id) DO UPDATE SET
    began_at = excluded.began_at, told = excluded.told, not_told = excluded.not_told,
    last_cdr_id = excluded.last_cdr_id;

-- name: delete_expired_calls!
DELETE FROM expired_calls WHERE booking_id = :booking_id;

-- name: expired_calls_not_told
-- Bookings whose window began by then and has calls that no callback reported. `account_id` '': all but sandboxes.
SELECT e.booking_id FROM expired_calls AS e
WHERE e.not_told > 0 AND e.began_at <= :before
    AND EXISTS (
        SELECT 1 FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
        WHERE b.id = e.booking_id
            AND (b.account_id = :account_id OR (:account_id = '' AND a.test_of IS NULL))
    )
ORDER BY e.began_at
LIMIT :at_most {by values};
