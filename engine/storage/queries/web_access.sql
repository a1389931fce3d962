-- Sign-in to the web pages: links that are used once, and sessions.

-- name: insert_web_link!
INSERT INTO web_links (digest, role, account_id, created_at, use_before, ends_at)
VALUES (:digest, :role, :account_id, :created_at, :use_before, :ends_at);

-- name: use_web_link!
-- Changes a row for the first caller only.
UPDATE web_links SET used_at = :now WHERE digest = :digest AND used_at IS NULL AND use_before > :now;

-- name: web_link_of_digest^
SELECT role, account_id, ends_at FROM web_links WHERE digest = :digest;

-- name: usable_web_link^
SELECT role FROM web_links WHERE digest = :digest AND used_at IS NULL AND use_before > :now;

-- name: insert_web_session!
INSERT INTO web_sessions (id, digest, role, account_id, created_at, seen_at, ends_at)
VALUES (:id, :digest, :role, :account_id, :created_at, :created_at, :ends_at);

-- name: web_session_of_digest^
-- A customer's session ends with its account.
SELECT s.id, s.role, s.account_id, s.created_at, s.seen_at, s.ends_at, COALESCE(s.ended_at, a.closed_at) AS ended_at
FROM web_sessions AS s LEFT JOIN accounts AS a ON a.id = s.account_id
WHERE s.digest = :digest;

-- name: web_sessions_open
-- Newest first.
SELECT id, role, account_id, created_at, seen_at, ends_at, ended_at FROM web_sessions
WHERE ends_at > :now AND ended_at IS NULL AND seen_at > :seen_after
ORDER BY id DESC
LIMIT :at_most;

-- name: note_web_session_use!
UPDATE web_sessions SET seen_at = :now WHERE id = :id AND ended_at IS NULL AND seen_at < :now;

-- name: end_web_session!
UPDATE web_sessions SET ended_at = :now WHERE id = :id AND ended_at IS NULL;

-- name: end_web_sessions!
UPDATE web_sessions SET ended_at = :now WHERE ended_at IS NULL;

-- name: delete_unused_web_links!
DELETE FROM web_links WHERE used_at IS NULL;

-- name: delete_ended_web_links!
DELETE FROM web_links WHERE digest IN (
    SELECT l.digest FROM web_links AS l WHERE l.ends_at <= :before ORDER BY l.ends_at LIMIT :at_most
) {by values};

-- name: delete_ended_web_sessions!
DELETE FROM web_sessions WHERE id IN (
    SELECT s.id FROM web_sessions AS s WHERE s.ends_at <= :before ORDER BY s.ends_at LIMIT :at_most
) {by values};

-- name: delete_surplus_web_links!
DELETE FROM web_links WHERE digest IN (
    SELECT l.digest FROM web_links AS l WHERE l.account_id = :account_id
    ORDER BY l.created_at DESC, l.digest LIMIT :at_most OFFSET :kept
);

-- name: delete_surplus_web_sessions!
DELETE FROM web_sessions WHERE id IN (
    SELECT s.id FROM web_sessions AS s WHERE s.account_id = :account_id
    ORDER BY s.id DESC LIMIT :at_most OFFSET :kept
);

-- name: portal_account^
-- A sandbox has the quota of its customer.
SELECT
    a.id, a.name, a.test_of, a.clock_ahead_ms, o.requests_per_minute, a.suspended_at IS NOT NULL AS is_suspended,
    a.frame_origin
FROM accounts AS a JOIN accounts AS o ON o.id = COALESCE(a.test_of, a.id)
WHERE a.id = :account_id;
