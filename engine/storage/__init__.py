"""Durable state in SQLite.

Commands are plain functions over a `Transaction`; a `Storage` runs them (interface.py). Lists for the API are read-only
and asynchronous: see `Reads`. The SQL is in queries/*.sql. Each module here has one table's rows, the table's methods,
and the helpers that translate between the two.
"""
