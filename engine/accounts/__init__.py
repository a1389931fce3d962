"""Accounts, their API keys, and idempotent requests."""
