-- name: ledger_page
-- Each booking with the sums of its grants, calls and call records, and of those that retention has deleted.
SELECT
    {b.bookings},
    (SELECT COALESCE(SUM(g.seconds), 0) FROM grants AS g WHERE g.booking_id = b.id) AS grants_seconds,
    (SELECT COALESCE(SUM(g.calls), 0) FROM grants AS g WHERE g.booking_id = b.id) AS grants_calls,
    (SELECT COALESCE(SUM(c.seconds_leased), 0) FROM calls AS c WHERE c.booking_id = b.id AND c.ended_at IS NULL)
        AS leases_seconds,
    (SELECT COUNT(*) FROM calls AS c WHERE c.booking_id = b.id AND c.ended_at IS NULL) AS leases_calls,
    b.seconds_forgotten + (SELECT COALESCE(SUM(c.seconds_charged), 0) FROM calls AS c WHERE c.booking_id = b.id)
        AS charged_seconds,
    b.calls_forgotten + (SELECT COUNT(*) FROM calls AS c WHERE c.booking_id = b.id AND c.state = 'SETTLED')
        AS charged_calls,
    b.seconds_forgotten + (SELECT COALESCE(SUM(r.duration), 0) FROM cdrs AS r JOIN calls AS c ON c.call_id = r.call_id
        WHERE c.booking_id = b.id) AS records_seconds,
    (SELECT COUNT(*) FROM calls AS c WHERE c.booking_id = b.id AND c.ended_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM cdrs AS r WHERE r.call_id = c.call_id AND r.duration = c.seconds_charged))
        AS calls_without_record
FROM bookings AS b
WHERE b.id > :after
ORDER BY b.id
LIMIT :at_most;
