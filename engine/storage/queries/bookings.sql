-- name: insert_booking!
INSERT INTO bookings ({bookings}) VALUES ({:bookings});

-- name: notes_of_booking^
SELECT label, metadata, gone_at FROM bookings WHERE id = :id;

-- name: insert_booking_note*!
INSERT INTO booking_notes (digest, booking_id) VALUES (:digest, :booking_id);

-- name: delete_booking_note*!
DELETE FROM booking_notes WHERE digest = :digest AND booking_id = :booking_id;

-- name: insert_grant!
INSERT INTO grants ({grants}) VALUES ({:grants});

-- name: grant_by_id^
SELECT {grants} FROM grants WHERE id = :id;

-- name: charges_between
-- What an account's grants of a span cost, by booking, number and currency.
SELECT booking_id, service, currency, SUM(price) AS amount
FROM grants
WHERE account_id = :account_id AND price IS NOT NULL AND granted_at >= :since AND granted_at < :until
GROUP BY booking_id, service, currency
ORDER BY booking_id, service, currency;

-- name: grants_of_booking
SELECT {grants} FROM grants WHERE booking_id = :booking_id ORDER BY id DESC LIMIT :at_most;

-- name: update_booking!
-- Everything about a booking that can change.
UPDATE bookings SET
    destination = :destination, usage_plan = :usage_plan, callback = :callback,
    start_at = :start_at, end_at = :end_at, exhausted_at = :exhausted_at, gone_at = :gone_at,
    seconds_granted = :seconds_granted, seconds_remaining = :seconds_remaining,
    seconds_leased = :seconds_leased, seconds_settled = :seconds_settled,
    calls_granted = :calls_granted, calls_remaining = :calls_remaining,
    calls_leased = :calls_leased, calls_settled = :calls_settled,
    max_concurrent_calls = :max_concurrent_calls, max_calls_per_caller_per_hour = :max_calls_per_caller_per_hour,
    max_call_seconds = :max_call_seconds, caller_id = :caller_id, refuse_anonymous = :refuse_anonymous,
    paused = :paused, label = :label, metadata = :metadata, language = :language,
    whisper = :whisper, screening = :screening, hours = :hours, reverse = :reverse, greeting = :greeting,
    partner = :partner, destination_label = :destination_label, partner_label = :partner_label,
    accept_former_callers = :accept_former_callers,
    destination_pin = :destination_pin, partner_pin = :partner_pin, beep = :beep
WHERE id = :id;

-- name: set_service!
UPDATE bookings SET service = :service, destination_pin = :destination_pin, partner_pin = :partner_pin WHERE id = :id;

-- name: insert_number_swap!
INSERT INTO number_swaps (account_id, swapped_at, booking_id, service)
VALUES (:account_id, :swapped_at, :booking_id, :service);

-- name: update_credit!
-- Calls change these columns, so none of them has an index.
UPDATE bookings SET
    seconds_remaining = :seconds_remaining, seconds_leased = :seconds_leased, seconds_settled = :seconds_settled,
    calls_remaining = :calls_remaining, calls_leased = :calls_leased, calls_settled = :calls_settled
WHERE id = :id;

-- name: update_credit_and_count!
-- The same, and counts a callback that is posted in this transaction.
UPDATE bookings SET
    seconds_remaining = :seconds_remaining, seconds_leased = :seconds_leased, seconds_settled = :seconds_settled,
    calls_remaining = :calls_remaining, calls_leased = :calls_leased, calls_settled = :calls_settled,
    callbacks_posted = callbacks_posted + 1
WHERE id = :id;

-- name: booking_by_id^
SELECT {bookings} FROM bookings WHERE id = :id;

-- name: booking_by_service^
-- Not the pairs that share a number.
SELECT {bookings} FROM bookings WHERE service = :service AND gone_at IS NULL AND partner IS NULL;

-- name: services_held
-- The numbers that bookings hold and share with no other, from `begin` on and before `end`.
SELECT service FROM bookings WHERE gone_at IS NULL AND partner IS NULL AND service >= :begin AND service < :end
ORDER BY service
LIMIT :at_most;

-- name: bookings_expired_before
-- Not those of sandboxes, which have their own clocks: see sandboxes.sql.
SELECT {b.bookings} FROM bookings AS b JOIN accounts AS a ON a.id = b.account_id
WHERE b.gone_at IS NULL AND COALESCE(b.exhausted_at, b.end_at) <= :before AND a.test_of IS NULL
ORDER BY COALESCE(b.exhausted_at, b.end_at)
LIMIT :at_most
{skip locked b};

-- name: bookings_of_closed_accounts
-- Those that are not gone: the sweep ends them. CROSS JOIN makes SQLite begin with the accounts, which are few.
SELECT {b.bookings} FROM accounts AS a CROSS JOIN bookings AS b
WHERE a.closed_at IS NOT NULL AND b.account_id = a.id AND b.gone_at IS NULL
LIMIT :at_most
{skip locked b};

-- name: bookings_page_end^
-- The last of the `looked_at` bookings that a page scans, and how many there are.
SELECT MIN(w.id) AS last_id, COUNT(*) AS bookings FROM (
    SELECT id FROM bookings
    WHERE account_id = :account_id AND id < :before_id AND gone_at IS NULL
    ORDER BY id DESC
    LIMIT :looked_at
) AS w;

-- name: bookings_page
-- Newest first. Scans no more than `looked_at` bookings, whatever the filter. A filter that is '' lets everything
-- through. `expires_after` is the present when only active bookings are listed. The + before COALESCE keeps SQLite from
-- using the index on it, after which it would have to sort all rows.
SELECT {bookings} FROM bookings
WHERE account_id = :account_id AND id < :before_id AND gone_at IS NULL
    AND id >= (
        SELECT MIN(w.id) FROM (
            SELECT id FROM bookings
            WHERE account_id = :account_id AND id < :before_id AND gone_at IS NULL
            ORDER BY id DESC
            LIMIT :looked_at
        ) AS w
    )
    AND +COALESCE(exhausted_at, end_at) > :expires_after AND +COALESCE(exhausted_at, end_at) <= :expires_until
    AND (:destination = '' OR destination = :destination OR partner = :destination)
    AND (:usage_plan = '' OR usage_plan = :usage_plan)
    AND (:service = '' OR service = :service)
ORDER BY id DESC
LIMIT :at_most;

-- name: noted_bookings_page_end^
-- As bookings_page_end, of the bookings that have a note.
SELECT MIN(w.booking_id) AS last_id, COUNT(*) AS bookings FROM (
    SELECT booking_id FROM booking_notes
    WHERE digest = :note_1 AND booking_id < :before_id
    ORDER BY booking_id DESC
    LIMIT :looked_at
) AS w;

-- name: noted_bookings_page
-- As bookings_page, of the bookings that have all notes. It scans those that have the first one. Digests of notes are
-- those of engine/domain/notes.py, which differ between accounts.
SELECT {b.bookings} FROM booking_notes AS n JOIN bookings AS b ON b.id = n.booking_id
WHERE n.digest = :note_1 AND n.booking_id < :before_id
    AND n.booking_id >= (
        SELECT MIN(w.booking_id) FROM (
            SELECT booking_id FROM booking_notes
            WHERE digest = :note_1 AND booking_id < :before_id
            ORDER BY booking_id DESC
            LIMIT :looked_at
        ) AS w
    )
    AND (:note_2 = '' OR EXISTS (SELECT 1 FROM booking_notes WHERE digest = :note_2 AND booking_id = n.booking_id))
    AND (:note_3 = '' OR EXISTS (SELECT 1 FROM booking_notes WHERE digest = :note_3 AND booking_id = n.booking_id))
    AND (:note_4 = '' OR EXISTS (SELECT 1 FROM booking_notes WHERE digest = :note_4 AND booking_id = n.booking_id))
    AND (:note_5 = '' OR EXISTS (SELECT 1 FROM booking_notes WHERE digest = :note_5 AND booking_id = n.booking_id))
    AND (:note_6 = '' OR EXISTS (SELECT 1 FROM booking_notes WHERE digest = :note_6 AND booking_id = n.booking_id))
    AND b.account_id = :account_id AND b.gone_at IS NULL
    AND +COALESCE(b.exhausted_at, b.end_at) > :expires_after AND +COALESCE(b.exhausted_at, b.end_at) <= :expires_until
    AND (:destination = '' OR b.destination = :destination OR b.partner = :destination)
    AND (:usage_plan = '' OR b.usage_plan = :usage_plan)
    AND (:service = '' OR b.service = :service)
ORDER BY n.booking_id DESC
LIMIT :at_most;

-- name: bookings_talking_with_seconds_idle
-- Begins with the calls that are up, because there are far more bookings.
SELECT {bookings} FROM bookings
WHERE id IN (SELECT booking_id FROM calls WHERE ended_at IS NULL AND state = 'LIVE')
    AND gone_at IS NULL AND seconds_remaining > 0;

-- name: bookings_held$
-- Stops counting at `at_most`.
SELECT COUNT(*) FROM (
    SELECT 1 FROM bookings WHERE account_id = :account_id AND gone_at IS NULL LIMIT :at_most
) AS held;

-- name: bookings_with_reverse$
-- Stops counting at `at_most`. In a sandbox every caller can be asserted. Pairs with PINs count only where no caller can be
-- asked for one.
SELECT COUNT(*) FROM (
    SELECT 1 FROM bookings
    WHERE gone_at IS NULL AND service NOT LIKE '+999%'
        AND (reverse = 1 OR (partner IS NOT NULL AND (destination_pin IS NULL OR CAST(:speaks AS BIGINT) = 0)))
    LIMIT :at_most
) AS found;

-- name: nth_newest_number_taken$
-- When an account took a number, by a booking or a swap. Bookings that are gone count.
SELECT created_at AS taken_at FROM bookings WHERE account_id = :account_id AND created_at > :since
UNION ALL
SELECT swapped_at FROM number_swaps WHERE account_id = :account_id AND swapped_at > :since
ORDER BY taken_at DESC
LIMIT 1 OFFSET :skipped;
