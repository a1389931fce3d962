"""Durable state in SQLite.

Commands are plain functions over a `Transaction`; `SqliteStorage.run` runs them in a thread of its own. Lists for the
API are read-only and asynchronous: see `Reads`. The SQL is in queries/*.sql. Each module here has one table's rows, the
table's methods, and the helpers that translate between the two.
"""
