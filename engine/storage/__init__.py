"""Durable state. Commands are plain functions over a `Transaction`, run by `SqliteStorage.run` in its own thread;
queries for lists are read-only and asynchronous (`Reads`). SQL stands in queries/*.sql, one text for every engine.
"""
