"""Durable state in PostgreSQL 15 or newer: several connections write at once, so commands lock what they decide on."""
