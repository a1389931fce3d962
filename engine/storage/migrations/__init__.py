"""Alembic's environment and the migrations of the schema.

On a PostgreSQL server, engines of two versions may work side by side while an operator upgrades one after the other. So
a change of the schema takes two releases: the first one only adds (tables, indexes, columns that are NULL or have a
default), and a later one takes away what no program uses any more.

On PostgreSQL each CHECK of bookings, calls, cdrs and outbox costs each statement that writes a row 3 to 5 microseconds:
a new rule goes into the functions and the trigger of migration 0046, as they stand in the latest migration.
"""

# The oldest program that can use the present schema, by the newest revision that this program knows. A migration that
# takes something away, or changes what older programs use, raises it to its own number.
OLDEST_PROGRAM = "0041"
