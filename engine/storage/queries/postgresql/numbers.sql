-- The same as in sqlite/numbers.sql, but the outer statement reads the table again. So it locks only the number that is
-- taken, and not every candidate.

-- name: free_number_among_oldest$
SELECT n.e164 FROM numbers AS n
WHERE n.state = 'FREE' AND n.e164 >= :low AND n.e164 <= :high
    AND n.e164 IN (SELECT e164 FROM numbers WHERE state = 'FREE' ORDER BY idle_since, e164 LIMIT :looked_at)
ORDER BY n.idle_since, n.e164
LIMIT 1
{skip locked n} {by values};

-- name: free_number_among_range$
SELECT n.e164 FROM numbers AS n
WHERE n.state = 'FREE' AND n.e164 IN (
    SELECT e164 FROM numbers WHERE state = 'FREE' AND e164 >= :low AND e164 <= :high ORDER BY e164 LIMIT :looked_at
)
ORDER BY n.idle_since, n.e164
LIMIT 1
{skip locked n} {by values};

-- name: free_number_among_oldest_of_country$
SELECT n.e164 FROM numbers AS n
WHERE n.state = 'FREE' AND n.e164 >= :low AND n.e164 <= :high AND n.e164 IN (
    SELECT e164 FROM numbers WHERE state = 'FREE' AND country = :country ORDER BY idle_since, e164 LIMIT :looked_at
)
ORDER BY n.idle_since, n.e164
LIMIT 1
{skip locked n} {by values};

-- name: free_number_among_range_of_country$
SELECT n.e164 FROM numbers AS n
WHERE n.state = 'FREE' AND n.e164 IN (
    SELECT e164 FROM numbers
    WHERE state = 'FREE' AND country = :country AND e164 >= :low AND e164 <= :high
    ORDER BY e164
    LIMIT :looked_at
)
ORDER BY n.idle_since, n.e164
LIMIT 1
{skip locked n} {by values};
