-- name: free_number_among_oldest$
-- The first number from `low` to `high` among the `looked_at` numbers that were idle longest.
SELECT w.e164 FROM (
    SELECT e164, idle_since FROM numbers WHERE state = 'FREE' ORDER BY idle_since, e164 LIMIT :looked_at
) AS w
WHERE w.e164 >= :low AND w.e164 <= :high
ORDER BY w.idle_since, w.e164
LIMIT 1;

-- name: free_number_among_range$
-- The number that was idle longest among the first `looked_at` numbers from `low` to `high`.
SELECT w.e164 FROM (
    SELECT e164, idle_since FROM numbers
    WHERE state = 'FREE' AND e164 >= :low AND e164 <= :high
    ORDER BY e164
    LIMIT :looked_at
) AS w
ORDER BY w.idle_since, w.e164
LIMIT 1;

-- name: free_number_among_oldest_of_country$
-- As free_number_among_oldest, of one country's numbers.
SELECT w.e164 FROM (
    SELECT e164, idle_since FROM numbers
    WHERE state = 'FREE' AND country = :country
    ORDER BY idle_since, e164
    LIMIT :looked_at
) AS w
WHERE w.e164 >= :low AND w.e164 <= :high
ORDER BY w.idle_since, w.e164
LIMIT 1;

-- name: free_number_among_range_of_country$
-- As free_number_among_range, of one country's numbers.
SELECT w.e164 FROM (
    SELECT e164, idle_since FROM numbers
    WHERE state = 'FREE' AND country = :country AND e164 >= :low AND e164 <= :high
    ORDER BY e164
    LIMIT :looked_at
) AS w
ORDER BY w.idle_since, w.e164
LIMIT 1;
