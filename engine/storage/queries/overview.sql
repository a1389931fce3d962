-- The operator's lists over all accounts.

-- name: overview_bookings
-- Newest first. `expires_after` is as in bookings_page. With `gone` = 1 every booking, whether it is gone or not, and also
-- those that had the number before they got another one.
SELECT {b.bookings}, a.name AS account FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
WHERE b.id < :before_id
    AND (:account_id = '' OR b.account_id = :account_id)
    AND (
        :service = '' OR b.service = :service
        OR (:gone = 1 AND b.id IN (SELECT s.booking_id FROM number_swaps AS s WHERE s.service = :service))
    )
    AND (:gone = 1 OR (b.gone_at IS NULL AND COALESCE(b.exhausted_at, b.end_at) > :expires_after))
ORDER BY b.id DESC
LIMIT :at_most {by values};

-- name: live_bookings_of_account
-- The booking of each call that is up.
SELECT c.booking_id FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id
WHERE c.ended_at IS NULL AND b.account_id = :account_id;

-- name: overview_live_calls
-- A filter that is NULL lets everything through. `party`: the caller or the rented number.
SELECT {c.calls}, COALESCE(c.dialled, b.service) AS service, a.name AS account
FROM calls AS c JOIN bookings AS b ON b.id = c.booking_id JOIN accounts AS a ON a.id = b.account_id
WHERE c.ended_at IS NULL
    AND (CAST(:account_id AS TEXT) IS NULL OR b.account_id = :account_id)
    AND (CAST(:booking_id AS TEXT) IS NULL OR b.id = :booking_id)
    AND (CAST(:service AS TEXT) IS NULL OR COALESCE(c.dialled, b.service) = :service)
    AND (CAST(:party AS TEXT) IS NULL OR c.source = :party OR COALESCE(c.dialled, b.service) = :party)
ORDER BY c.started_at, c.call_id
LIMIT :at_most {by values};
