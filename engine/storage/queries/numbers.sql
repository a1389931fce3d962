-- name: insert_number!
INSERT INTO numbers (e164, state, idle_since, quarantined_until) VALUES (:e164, 'FREE', :idle_since, NULL);

-- name: number_exists$
SELECT COUNT(*) FROM numbers WHERE e164 = :e164;

-- name: least_recently_used_free$
SELECT e164 FROM numbers WHERE state = 'FREE' ORDER BY idle_since, e164 LIMIT 1;

-- name: mark_booked!
UPDATE numbers SET state = 'BOOKED', quarantined_until = NULL WHERE e164 = :e164 AND state = 'FREE';

-- name: mark_quarantined!
UPDATE numbers SET state = 'QUARANTINED', idle_since = :idle_since, quarantined_until = :quarantined_until
WHERE e164 = :e164 AND state = 'BOOKED';

-- name: free_quarantined_until!
UPDATE numbers SET state = 'FREE', quarantined_until = NULL
WHERE state = 'QUARANTINED' AND quarantined_until <= :now;

-- name: numbers_list
SELECT e164, state, idle_since, quarantined_until FROM numbers
WHERE e164 > :after AND (:state IS NULL OR state = :state)
ORDER BY e164
LIMIT :at_most;

-- name: numbers_by_state
SELECT state, COUNT(*) AS numbers FROM numbers GROUP BY state;
