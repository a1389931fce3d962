"""Metrics for operators: what the hot paths count, what the database says, and how Prometheus gets it."""
