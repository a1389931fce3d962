-- name: all_calls_seen!
UPDATE calls SET seen_ticks = :ticks WHERE ended_at IS NULL AND state = 'LIVE' AND asterisk = :asterisk;
