"""Ends of every order that lists stand in: where one begins that begins nowhere in particular."""

# What BIGINT holds: before and after every instant (epoch milliseconds).
EARLIEST = -(2**63)
LATEST = 2**63 - 1
# Greater than every id: a page "before" it is the first page.
LAST_ID = "\U0010ffff"
