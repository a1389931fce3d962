-- name: all_calls_seen!
-- Skips calls that another transaction is changing: that transaction has just seen them, and waiting could deadlock.
UPDATE calls SET seen_ticks = :ticks
WHERE call_id IN (
    SELECT call_id FROM calls WHERE ended_at IS NULL AND state = 'LIVE' AND asterisk = :asterisk {skip locked}
);
