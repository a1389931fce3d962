-- The PINs of pairs on shared numbers, and how many wrong ones were keyed in.

-- name: pin_is_known$
-- Whether a pair has a PIN on a number, or the PIN of a pair that is gone is in quarantine there.
SELECT COUNT(*) FROM pair_pins WHERE service = :service AND pin = :pin;

-- name: insert_pair_pin*!
INSERT INTO pair_pins (service, pin, booking_id, quarantined_until) VALUES (:service, :pin, :booking_id, NULL);

-- name: quarantine_pair_pins!
UPDATE pair_pins SET booking_id = NULL, quarantined_until = :until WHERE booking_id = :booking_id;

-- name: delete_pair_pins_of!
DELETE FROM pair_pins WHERE booking_id = :booking_id;

-- name: lengthen_pin_quarantine!
UPDATE pair_pins SET quarantined_until = :until
WHERE service = :service AND pin = :pin AND quarantined_until < :ends_before;

-- name: quarantine_unknown_pin!
-- As for callers of pairs that may have been lost in a restore. The limit of wrong PINs is one of these rows, too.
INSERT INTO pair_pins (service, pin, booking_id, quarantined_until)
SELECT n.e164, CAST(:pin AS TEXT), NULL, CAST(:until AS BIGINT) FROM numbers AS n
WHERE n.e164 = :service AND n.state = 'SHARED' AND n.quarantined_until > :now AND n.quarantined_until < :until
ON CONFLICT (service, pin) DO NOTHING;

-- name: forget_pair_pins!
DELETE FROM pair_pins WHERE quarantined_until IS NOT NULL AND quarantined_until <= :now;

-- name: end_of_pins$
-- When the last PIN that was taken from a pair leaves its quarantine.
SELECT MAX(quarantined_until) FROM pair_pins WHERE service = :service;

-- name: delete_quarantined_pair_pins!
DELETE FROM pair_pins WHERE service = :service AND quarantined_until IS NOT NULL;

-- name: takes_pins$
-- Whether a pair with PINs holds a number: of real calls any pair, of simulated ones one of the sandbox. An expired pair
-- holds it, too: otherwise a stranger could tell from the question for a PIN whether all pairs have expired.
SELECT COUNT(*) FROM (
    SELECT 1 FROM pair_pins AS p JOIN bookings AS b ON b.id = p.booking_id
    WHERE p.service = :service AND b.service = p.service AND b.gone_at IS NULL AND (CAST(:sandbox AS TEXT) IS NULL OR b.account_id = :sandbox)
    LIMIT 1
) AS held;

-- name: count_pin_try!
-- Counts a PIN as a wrong one, unless the number takes none now.
INSERT INTO pin_tries (service, clears_at) VALUES (:service, :first)
ON CONFLICT (service) DO UPDATE SET
    clears_at = CASE WHEN pin_tries.clears_at > :now THEN pin_tries.clears_at ELSE :now END + :step
WHERE pin_tries.clears_at <= :latest;

-- name: uncount_pin_try!
UPDATE pin_tries SET clears_at = clears_at - :step WHERE service = :service;

-- name: pins_are_closed$
SELECT COUNT(*) FROM pin_tries WHERE service = :service AND clears_at > :latest;

-- name: forget_pin_tries!
DELETE FROM pin_tries WHERE clears_at <= :now;

-- name: forget_pin_tries_at!
DELETE FROM pin_tries WHERE service = :service;
