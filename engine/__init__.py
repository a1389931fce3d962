"""Rented numbers: the engine that hides a telephone number behind a rented one."""
