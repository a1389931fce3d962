"""Backups: making them, reading them, and bringing one into use without hurting anybody."""
