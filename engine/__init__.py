"""Rented Numbers: an engine that hides a telephone number behind a rented one."""
