-- name: insert_numbers*!
INSERT INTO numbers (e164, state, idle_since, quarantined_until, country)
VALUES (:e164, 'FREE', :idle_since, NULL, :country);

-- name: number_by_e164^
SELECT e164, state, idle_since, quarantined_until, country, quarantined_by FROM numbers WHERE e164 = :e164 {lock};

-- name: number_is_ours$
-- A retired number may belong to somebody else by now.
SELECT COUNT(*) FROM numbers WHERE e164 = :e164 AND state <> 'RETIRED';

-- name: least_recently_used_free$
SELECT e164 FROM numbers WHERE state = 'FREE' ORDER BY idle_since, e164 LIMIT 1 {skip locked};

-- name: least_recently_used_free_of_country$
SELECT e164 FROM numbers WHERE state = 'FREE' AND country = :country ORDER BY idle_since, e164 LIMIT 1 {skip locked};

-- name: mark_booked!
UPDATE numbers SET state = 'BOOKED', quarantined_until = NULL WHERE e164 = :e164 AND state = 'FREE';

-- name: mark_quarantined!
UPDATE numbers SET
    state = 'QUARANTINED', idle_since = :idle_since, quarantined_until = :quarantined_until, quarantined_by = :account_id
WHERE e164 = :e164 AND state = 'BOOKED';

-- name: lengthen_quarantine!
UPDATE numbers SET quarantined_until = :until
WHERE e164 = :e164 AND state = 'QUARANTINED' AND quarantined_until < :ends_before;

-- name: numbers_quarantined_by$
-- Counts also each shared number that one of the account's pairs has left, while a person of the pair is in quarantine on
-- it: a pair whose number was swapped counts once for each number that it left. Stops at `at_most`.
SELECT COUNT(*) FROM (
    SELECT 1 FROM numbers
    WHERE state = 'QUARANTINED' AND quarantined_by = :account_id AND quarantined_until > :now
    UNION ALL
    SELECT 1 FROM (
        SELECT DISTINCT last_booking_id, service FROM pair_callers
        WHERE quarantined_by = :account_id AND quarantined_until > :now
    ) AS pairs
    LIMIT :at_most
) AS given_back;

-- name: nth_end_of_quarantine$
SELECT ends_at FROM (
    SELECT quarantined_until AS ends_at FROM numbers
    WHERE state = 'QUARANTINED' AND quarantined_by = :account_id AND quarantined_until > :now
    UNION ALL
    SELECT MAX(quarantined_until) FROM pair_callers
    WHERE quarantined_by = :account_id AND quarantined_until > :now
    GROUP BY last_booking_id, service
) AS given_back
ORDER BY ends_at
LIMIT 1 OFFSET :skipped;

-- name: set_number_state!
UPDATE numbers SET state = :state, quarantined_until = :quarantined_until, quarantined_by = NULL WHERE e164 = :e164;

-- name: numbers_matching
SELECT state, COUNT(*) AS numbers FROM numbers
WHERE e164 >= :low AND e164 <= :high AND (CAST(:country AS TEXT) IS NULL OR country = :country)
GROUP BY state;

-- name: retire_matching
-- The next ones after `after`. A number keeps the end of its quarantine, for the case that it is restored.
UPDATE numbers SET state = 'RETIRED', quarantined_by = NULL
WHERE e164 IN (
    SELECT n.e164 FROM numbers AS n
    WHERE n.e164 > :after AND n.e164 >= :low AND n.e164 <= :high AND n.state IN ('FREE', 'QUARANTINED')
        AND (CAST(:country AS TEXT) IS NULL OR n.country = :country)
    ORDER BY n.e164
    LIMIT :at_most
    {skip locked}
)
RETURNING e164;

-- name: free_quarantined_until!
UPDATE numbers SET state = 'FREE', quarantined_until = NULL, quarantined_by = NULL
WHERE state = 'QUARANTINED' AND quarantined_until <= :now;

-- name: numbers_list
SELECT e164, state, idle_since, quarantined_until, country, quarantined_by FROM numbers
WHERE e164 > :after AND (CAST(:state AS TEXT) IS NULL OR state = :state) AND (CAST(:country AS TEXT) IS NULL OR country = :country)
ORDER BY e164
LIMIT :at_most;

-- name: numbers_by_state
SELECT state, COUNT(*) AS numbers FROM numbers GROUP BY state;

-- name: numbers_by_country
SELECT country, state, COUNT(*) AS numbers FROM numbers GROUP BY country, state;

-- name: taken_by_country
-- A booking takes a number when it is made and at each swap, and has as many: its own and those in number_swaps. So both
-- are counted where they are, though a swap keeps the number that was left. Sandboxes' numbers are not in the pool, and
-- pairs share numbers that other bookings cannot have.
SELECT n.country, COUNT(*) AS numbers FROM (
    SELECT service FROM bookings WHERE created_at >= :since AND created_at < :until AND partner IS NULL
    UNION ALL
    SELECT s.service FROM accounts AS a CROSS JOIN number_swaps AS s CROSS JOIN bookings AS b
    WHERE s.account_id = a.id AND s.swapped_at >= :since AND s.swapped_at < :until
        AND b.id = s.booking_id AND b.partner IS NULL
) AS taken CROSS JOIN numbers AS n
WHERE n.e164 = taken.service
GROUP BY n.country;

-- name: countries_rented_out
-- Where bookings hold numbers, whether others are free or not.
SELECT DISTINCT country FROM numbers WHERE state = 'BOOKED';

-- name: left_by_country
-- A booking leaves a number when it is gone, or has its number swapped.
SELECT n.country, COUNT(*) AS numbers FROM (
    SELECT service FROM bookings WHERE gone_at >= :since AND gone_at < :until AND partner IS NULL
    UNION ALL
    SELECT s.service FROM accounts AS a CROSS JOIN number_swaps AS s CROSS JOIN bookings AS b
    WHERE s.account_id = a.id AND s.swapped_at >= :since AND s.swapped_at < :until
        AND b.id = s.booking_id AND b.partner IS NULL
) AS left_behind CROSS JOIN numbers AS n
WHERE n.e164 = left_behind.service
GROUP BY n.country;

-- name: ends_of_quarantine_by_country
SELECT country, (quarantined_until - :now) / :day_ms AS day, COUNT(*) AS numbers FROM numbers
WHERE state = 'QUARANTINED'
GROUP BY country, (quarantined_until - :now) / :day_ms;

-- name: free_numbers_by_country
SELECT country, COUNT(*) AS numbers FROM numbers WHERE state = 'FREE' GROUP BY country;

-- name: ends_of_quarantine
SELECT (quarantined_until - :now) / :day_ms AS day, COUNT(*) AS numbers FROM numbers
WHERE state = 'QUARANTINED'
GROUP BY (quarantined_until - :now) / :day_ms;

-- name: numbers_taken^
-- How many numbers bookings took in one span of time, and how many they left in another, swaps included. Not sandboxes'
-- numbers, whose swaps are not kept, and not the shared numbers of pairs.
SELECT
    (SELECT COUNT(*) FROM bookings
        WHERE created_at > :taken_since AND created_at <= :taken_until AND service NOT LIKE '+999%' AND partner IS NULL)
    + (SELECT COUNT(*) FROM accounts AS a CROSS JOIN number_swaps AS s CROSS JOIN bookings AS b
        WHERE s.account_id = a.id AND s.swapped_at > :taken_since AND s.swapped_at <= :taken_until
            AND b.id = s.booking_id AND b.partner IS NULL) AS taken,
    (SELECT COUNT(*) FROM bookings
        WHERE gone_at > :left_since AND gone_at <= :left_until AND service NOT LIKE '+999%' AND partner IS NULL)
    + (SELECT COUNT(*) FROM accounts AS a CROSS JOIN number_swaps AS s CROSS JOIN bookings AS b
        WHERE s.account_id = a.id AND s.swapped_at > :left_since AND s.swapped_at <= :left_until
            AND b.id = s.booking_id AND b.partner IS NULL) AS left_behind;
