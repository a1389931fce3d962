-- name: all_calls_seen!
-- A call that another transaction changes now was seen by that one: waiting for it here could deadlock.
UPDATE calls SET seen_ticks = :ticks
WHERE call_id IN (SELECT call_id FROM calls WHERE ended_at IS NULL AND state = 'LIVE' {skip locked});
