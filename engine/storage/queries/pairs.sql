-- Who calls a shared number, and which pair that is.

-- name: shared_number_for_pair$
-- The first shared number after `after` that fits and has neither caller, not even in a quarantine. A filter that is NULL
-- lets everything through.
SELECT n.e164 FROM numbers AS n
WHERE n.state = 'SHARED' AND n.e164 > :after AND n.e164 >= :low AND n.e164 <= :high
    AND (CAST(:country AS TEXT) IS NULL OR n.country = :country)
    AND (n.quarantined_until IS NULL OR n.quarantined_until <= :now)
    AND NOT EXISTS (
        SELECT 1 FROM pair_callers AS p WHERE p.service = n.e164 AND p.number IN (:number, :partner)
            AND (p.quarantined_until IS NULL OR p.quarantined_until > :now)
    )
ORDER BY n.e164
LIMIT 1;

-- name: any_shared_number$
SELECT e164 FROM numbers WHERE state = 'SHARED' LIMIT 1;

-- name: forget_pair_caller*!
DELETE FROM pair_callers WHERE service = :service AND number = :number AND quarantined_until <= :now;

-- name: insert_pair_caller*!
INSERT INTO pair_callers (service, number, booking_id, quarantined_until) VALUES (:service, :number, :booking_id, NULL);

-- name: quarantine_pair_callers!
UPDATE pair_callers SET
    booking_id = NULL, quarantined_until = :until, quarantined_by = :account_id, last_booking_id = booking_id
WHERE booking_id = :booking_id;

-- name: delete_pair_callers_of!
DELETE FROM pair_callers WHERE booking_id = :booking_id;

-- name: lengthen_pair_quarantine!
UPDATE pair_callers SET quarantined_until = :until
WHERE service = :service AND number = :number AND quarantined_until < :ends_before;

-- name: quarantine_unknown_pair_caller!
-- After a restore a shared number takes no new pairs for a time. Who calls it meanwhile, and is in no pair that is known
-- here, may be in a pair that was lost. Such a caller gets an own quarantine if that ends later than this time.
INSERT INTO pair_callers (service, number, booking_id, quarantined_until)
SELECT n.e164, CAST(:number AS TEXT), NULL, CAST(:until AS BIGINT) FROM numbers AS n
WHERE n.e164 = :service AND n.state = 'SHARED' AND n.quarantined_until > :now AND n.quarantined_until < :until
ON CONFLICT (service, number) DO NOTHING;

-- name: forget_pair_callers!
DELETE FROM pair_callers WHERE quarantined_until IS NOT NULL AND quarantined_until <= :now;

-- name: delete_quarantined_pair_callers!
DELETE FROM pair_callers WHERE service = :service AND quarantined_until IS NOT NULL;

-- name: pairs_on_number$
SELECT COUNT(*) FROM pair_callers WHERE service = :service AND booking_id IS NOT NULL;

-- name: end_of_pairs$
-- When the last caller who has left a number leaves its quarantine, too.
SELECT MAX(quarantined_until) FROM pair_callers WHERE service = :service;

-- name: carries_pairs$
-- Whether pairs hold a number: of real calls any pairs, of simulated ones those of the sandbox.
SELECT COUNT(*) FROM (
    SELECT 1 FROM pair_callers AS p JOIN bookings AS b ON b.id = p.booking_id
    WHERE p.service = :service AND (CAST(:sandbox AS TEXT) IS NULL OR b.account_id = :sandbox)
    LIMIT 1
) AS held;
