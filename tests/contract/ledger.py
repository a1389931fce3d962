"""What must be true of the database after every command: the ledger balances, each number has one owner.

It has its own SQL, so that an error in the product's queries cannot hide here too.
"""

import sqlite3

from tests.postgresql import Outsider

# Each query lists the ids of rows that break the rule it is named after.
RULES = {
    "granted = remaining + leased + settled": """
        SELECT id FROM bookings WHERE seconds_granted <> seconds_remaining + seconds_leased + seconds_settled
            OR calls_granted <> calls_remaining + calls_leased + calls_settled""",
    "granted = sum of grants": """
        SELECT b.id FROM bookings AS b LEFT JOIN grants AS g ON g.booking_id = b.id
        GROUP BY b.id
        HAVING b.seconds_granted <> COALESCE(SUM(g.seconds), 0) OR b.calls_granted <> COALESCE(SUM(g.calls), 0)""",
    "remaining >= 0": "SELECT id FROM bookings WHERE seconds_remaining < 0 OR calls_remaining < 0",
    "leased = sum of the leases of live calls": """
        SELECT b.id FROM bookings AS b LEFT JOIN calls AS c
            ON c.booking_id = b.id AND c.state IN ('RINGING', 'LIVE')
        GROUP BY b.id
        HAVING b.seconds_leased <> COALESCE(SUM(c.seconds_leased), 0) OR b.calls_leased <> COUNT(c.call_id)""",
    "settled = durations of the call records": """
        SELECT b.id FROM bookings AS b LEFT JOIN cdrs AS r ON r.booking_id = b.id
        GROUP BY b.id
        HAVING b.seconds_settled <> b.seconds_forgotten + COALESCE(SUM(r.duration), 0)
            OR b.calls_settled <> b.calls_forgotten + COUNT(*) FILTER (WHERE r.duration > 0)""",
    "a call has one record after its end, and none before": """
        SELECT c.call_id FROM calls AS c LEFT JOIN cdrs AS r USING (call_id)
        GROUP BY c.call_id HAVING COUNT(r.id) <> (c.state IN ('SETTLED', 'VOIDED'))""",
    "a record has the charge of its call": """
        SELECT r.id FROM cdrs AS r JOIN calls AS c USING (call_id)
        WHERE r.duration <> c.seconds_charged OR r.booking_id <> c.booking_id""",
    "each answered call is reported once, no other is": """
        SELECT id FROM (
            SELECT r.id, 1 AS reported FROM cdrs AS r JOIN bookings AS b ON b.id = r.booking_id
            WHERE r.duration > 0 AND b.callback <> ''
                AND NOT EXISTS (SELECT 1 FROM proxy_sessions AS s WHERE s.booking_id = b.id)
            UNION ALL
            -- A session's service may have had no URL at that time.
            SELECT r.id, (SELECT COUNT(DISTINCT o.call_id) FROM outbox AS o WHERE json_extract(o.body, '$.id') = r.id)
            FROM cdrs AS r JOIN proxy_sessions AS s ON s.booking_id = r.booking_id
            WHERE r.duration > 0
            UNION ALL
            SELECT json_extract(body, '$.id'), -1 FROM outbox
            WHERE json_extract(body, '$.id') IS NOT NULL AND json_extract(body, '$.type') IS NULL
        ) GROUP BY id HAVING SUM(reported) <> 0""",
    "no call is reported as missed twice, and no answered one is": """
        SELECT json_extract(o.body, '$.id') AS cdr_id FROM outbox AS o LEFT JOIN cdrs AS r ON r.id = cdr_id
        WHERE json_extract(o.body, '$.type') = 'call.missed'
        GROUP BY cdr_id HAVING COUNT(*) > 1 OR MAX(r.duration) > 0""",
    "each call to an expired booking is reported once, or counted once as not reported": """
        SELECT booking_id FROM (
            SELECT booking_id, 1 + further_calls AS reported FROM cdrs WHERE disposition = 'EXPIRED'
            UNION ALL
            SELECT booking_id, -1 - COALESCE(json_extract(body, '$.callsNotReported'), 0) FROM outbox
            WHERE json_extract(body, '$.message') IS NOT NULL
            UNION ALL
            SELECT booking_id, -not_told FROM expired_calls
        ) GROUP BY booking_id HAVING SUM(reported) <> 0""",
    "a booking's callbacks are numbered 1, 2, 3 … without a gap": """
        SELECT b.id FROM bookings AS b JOIN outbox AS o ON o.booking_id = b.id
        GROUP BY b.id
        HAVING MAX(json_extract(o.body, '$.sequence')) <> b.callbacks_posted
            OR COUNT(DISTINCT json_extract(o.body, '$.sequence')) <> COUNT(*)
            OR b.callbacks_posted - MIN(json_extract(o.body, '$.sequence')) + 1 <> COUNT(*)""",
    "a number is held by one booking at most, or by pairs": """
        SELECT service FROM bookings WHERE gone_at IS NULL
        GROUP BY service HAVING COUNT(*) > 1 AND COUNT(*) <> COUNT(partner)""",
    "the callers of a number are the participants of the pairs that hold it, each of one pair": """
        SELECT booking_id FROM (
            SELECT id AS booking_id, service, destination AS number, 1 AS held FROM bookings
            WHERE gone_at IS NULL AND partner IS NOT NULL
            UNION ALL
            SELECT id, service, partner, 1 FROM bookings WHERE gone_at IS NULL AND partner IS NOT NULL
            UNION ALL
            SELECT booking_id, service, number, -1 FROM pair_callers WHERE booking_id IS NOT NULL
        ) GROUP BY service, number HAVING SUM(held) <> 0 OR COUNT(*) <> 2 OR COUNT(DISTINCT booking_id) <> 1""",
    "the PINs of a number are those of the participants of the pairs that hold it": """
        SELECT booking_id FROM (
            SELECT id AS booking_id, service, destination_pin AS pin, 1 AS held FROM bookings
            WHERE destination_pin IS NOT NULL
            UNION ALL
            SELECT id, service, partner_pin, 1 FROM bookings WHERE partner_pin IS NOT NULL
            UNION ALL
            SELECT booking_id, service, pin, -1 FROM pair_pins WHERE booking_id IS NOT NULL
        ) GROUP BY service, pin HAVING SUM(held) <> 0 OR COUNT(*) <> 2 OR COUNT(DISTINCT booking_id) <> 1""",
    "a number is BOOKED exactly while a booking holds it": """
        SELECT e164 FROM numbers WHERE (state = 'BOOKED') <>
            EXISTS (SELECT 1 FROM bookings WHERE service = e164 AND gone_at IS NULL AND partner IS NULL)""",
}


def broken_rules(database: sqlite3.Connection | Outsider) -> dict[str, list[str]]:
    """Returns rule → ids of rows that break it; empty if the ledger balances."""
    connection = database.copied() if isinstance(database, Outsider) else database
    # The first value of a row, whether rows are tuples or dicts on this connection.
    cursor = connection.cursor()
    cursor.row_factory = lambda _, row: str(row[0])
    found = {rule: cursor.execute(sql).fetchall() for rule, sql in RULES.items()}
    return {rule: ids for rule, ids in found.items() if ids}
