-- name: callback_receiver^
SELECT agreed_at, paced_until FROM callback_receivers WHERE digest = :digest;

-- name: note_receiver_agreed!
-- Writes nothing if the last note is recent.
INSERT INTO callback_receivers (digest, agreed_at, paced_until, kept_until) VALUES (:digest, :now, 0, :kept_until)
ON CONFLICT (digest) DO UPDATE SET
    agreed_at = excluded.agreed_at, kept_until = CASE
        WHEN callback_receivers.kept_until > excluded.kept_until THEN callback_receivers.kept_until
        ELSE excluded.kept_until
    END
    WHERE callback_receivers.agreed_at IS NULL OR callback_receivers.agreed_at <= :unless_since;

-- name: note_receiver_pace!
INSERT INTO callback_receivers (digest, agreed_at, paced_until, kept_until)
VALUES (:digest, NULL, :paced_until, :kept_until)
ON CONFLICT (digest) DO UPDATE SET
    paced_until = excluded.paced_until, kept_until = CASE
        WHEN callback_receivers.kept_until > excluded.kept_until THEN callback_receivers.kept_until
        ELSE excluded.kept_until
    END;

-- name: delete_unused_receivers!
DELETE FROM callback_receivers WHERE digest IN (
    SELECT digest FROM callback_receivers WHERE kept_until <= :now ORDER BY kept_until LIMIT :at_most {skip locked}
) {by values};
