"""What the engine does for a call from its route to its end.

`lifecycle` routes and settles calls. `lease_rebalancing` shares a booking's seconds among its live calls.
`reconciliation` compares the database with what Asterisk reports as up. `end_spool` reads the ends of calls that could
not reach the engine.
"""
