"""What the engine does for a call from its route to its end.

`facts` reads what a route depends on. `lifecycle` routes calls, notes answers and settles ends. `reports` describes the
dialplan's reports, `report_intake` takes them in, and `end_spool` reads those whose events were lost.
`lease_rebalancing` shares a booking's seconds among its calls. `reconciliation` compares the database with the calls
that Asterisk lists as up.
"""
