-- Twilio Proxy's services, sessions and participants (engine/twilio_proxy).

-- name: insert_proxy_service!
INSERT INTO proxy_services (
    id, account_id, unique_name, default_ttl, callback_url, out_of_session_callback_url, created_at, updated_at
) VALUES (
    :id, :account_id, :unique_name, :default_ttl, :callback_url, :out_of_session_callback_url, :created_at, :updated_at
);

-- name: update_proxy_service!
UPDATE proxy_services SET
    unique_name = :unique_name, default_ttl = :default_ttl, callback_url = :callback_url,
    out_of_session_callback_url = :out_of_session_callback_url, updated_at = :updated_at
WHERE id = :id;

-- name: delete_proxy_service!
DELETE FROM proxy_services WHERE id = :id;

-- name: proxy_service^
SELECT {services} FROM proxy_services WHERE id = :id AND account_id = :account_id;

-- name: proxy_service_named$
SELECT id FROM proxy_services WHERE account_id = :account_id AND unique_name = :unique_name;

-- name: count_proxy_services$
SELECT COUNT(*) FROM proxy_services WHERE account_id = :account_id;

-- name: proxy_services_page
SELECT {services} FROM proxy_services
WHERE account_id = :account_id AND id < :before_id
ORDER BY id DESC
LIMIT :at_most;

-- name: insert_proxy_session!
INSERT INTO proxy_sessions (id, service_id, unique_name, ttl, expires_at, created_at, updated_at)
VALUES (:id, :service_id, :unique_name, :ttl, :expires_at, :created_at, :updated_at);

-- name: update_proxy_session!
UPDATE proxy_sessions SET
    ttl = :ttl, expires_at = :expires_at, booking_id = :booking_id, paid_until = :paid_until,
    idle_until = :idle_until, updated_at = :updated_at, closed_at = :closed_at
WHERE id = :id;

-- name: move_proxy_session_idle!
UPDATE proxy_sessions SET idle_until = :idle_until WHERE id = :id;

-- name: delete_proxy_session!
DELETE FROM proxy_sessions WHERE id = :id;

-- name: proxy_session^
SELECT {s.sessions} FROM proxy_sessions AS s WHERE s.id = :id AND s.service_id = :service_id;

-- name: proxy_session_named$
SELECT id FROM proxy_sessions WHERE service_id = :service_id AND unique_name = :unique_name;

-- name: any_proxy_session$
SELECT id FROM proxy_sessions WHERE service_id = :service_id LIMIT 1;

-- name: count_proxy_sessions_waiting$
SELECT COUNT(*) FROM proxy_services AS v JOIN proxy_sessions AS s ON s.service_id = v.id
WHERE v.account_id = :account_id AND s.booking_id IS NULL;

-- name: proxy_sessions_page
SELECT {s.sessions} FROM proxy_sessions AS s
WHERE s.service_id = :service_id AND s.id < :before_id
ORDER BY s.id DESC
LIMIT :at_most;

-- name: proxy_sessions_idle
-- Which are over, or end within a while if no call had come: of customers, or of one sandbox. The first of each account
-- come first, so that an account with many sessions does not delay those of another one.
SELECT id, service_id, booking_id FROM (
    SELECT
        s.id, s.service_id, s.booking_id, s.idle_until,
        ROW_NUMBER() OVER (PARTITION BY v.account_id ORDER BY s.idle_until, s.id) AS place
    FROM proxy_sessions AS s JOIN proxy_services AS v ON v.id = s.service_id JOIN accounts AS a ON a.id = v.account_id
    WHERE s.idle_until <= :by
        AND (
            s.idle_until <= :now OR EXISTS (
                SELECT 1 FROM calls AS c
                WHERE c.booking_id = s.booking_id
                    AND (c.ended_at IS NULL OR c.started_at + s.ttl * 1000 > s.idle_until)
            )
        )
        AND CASE WHEN CAST(:account_id AS TEXT) IS NULL THEN a.test_of IS NULL ELSE a.id = :account_id END
) AS due
ORDER BY place, idle_until, id
LIMIT :at_most {by values};

-- name: old_proxy_sessions_waiting
-- Ids begin with their time, and those of sandboxes are made by the machine's clock too. It locks the services.
SELECT s.id, s.service_id, s.booking_id FROM proxy_sessions AS s JOIN proxy_services AS v ON v.id = s.service_id
WHERE s.booking_id IS NULL AND s.id < :before_id
ORDER BY s.id
LIMIT :at_most
{skip locked v};

-- name: proxy_session_of_booking$
SELECT id FROM proxy_sessions WHERE booking_id = :booking_id;

-- name: proxy_session_called^
-- The session of a booking, and its service.
SELECT {s.sessions}, v.account_id, v.callback_url, v.out_of_session_callback_url
FROM proxy_sessions AS s JOIN proxy_services AS v ON v.id = s.service_id
WHERE s.booking_id = :booking_id;

-- name: last_call_on_booking^
-- When the last call came in, and whether one is up. It reads the booking's calls alone.
SELECT MAX(started_at) AS started_at, COUNT(*) FILTER (WHERE ended_at IS NULL) AS up FROM calls
WHERE booking_id = :booking_id;

-- name: proxy_numbers_page
-- The rented numbers of a service's sessions, and how many sessions have each.
SELECT b.service, COUNT(*) AS sessions, MIN(s.created_at) AS created_at, MAX(s.updated_at) AS updated_at
FROM proxy_sessions AS s JOIN bookings AS b ON b.id = s.booking_id
WHERE s.service_id = :service_id AND b.gone_at IS NULL AND b.service > :after
GROUP BY b.service
ORDER BY b.service
LIMIT :at_most;

-- name: proxy_number^
SELECT b.service, COUNT(*) AS sessions, MIN(s.created_at) AS created_at, MAX(s.updated_at) AS updated_at
FROM proxy_sessions AS s JOIN bookings AS b ON b.id = s.booking_id
WHERE s.service_id = :service_id AND b.gone_at IS NULL AND b.service = :service
GROUP BY b.service;

-- name: insert_proxy_participant!
INSERT INTO proxy_participants (id, session_id, number, name, wanted, created_at)
VALUES (:id, :session_id, :number, :name, :wanted, :created_at);

-- name: proxy_participants_of
SELECT id, session_id, number, name, wanted, created_at FROM proxy_participants
WHERE session_id = :session_id
ORDER BY id
LIMIT 2;

-- name: forget_proxy_participants!
-- From now on the booking has their numbers and names.
UPDATE proxy_participants SET number = NULL, name = NULL, wanted = NULL WHERE session_id = :session_id;

-- name: delete_proxy_participant!
DELETE FROM proxy_participants WHERE id = :id;

-- name: delete_proxy_participants!
DELETE FROM proxy_participants WHERE session_id = :session_id;
