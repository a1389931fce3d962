-- What the operator's console reads besides the lists that it shares with the API and the command line.

-- name: calls_by_hour
-- Of the newest real calls that were recorded since an instant: a simulated call has an id of its own kind. `hour` is
-- counted from `since`. A record of refused calls stands for `further_calls` more.
SELECT
    (started_at - :since) / 3600000 AS hour, disposition,
    SUM(1 + further_calls) AS calls, SUM(duration) AS seconds
FROM (
    SELECT started_at, disposition, duration, further_calls FROM cdrs
    WHERE id >= :first_id AND substr(call_id, 1, 4) <> 'sim_'
    ORDER BY id DESC
    LIMIT :at_most
) AS newest
WHERE started_at >= :since
GROUP BY 1, 2;
