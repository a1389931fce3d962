"""Sandboxes: accounts with simulated numbers and calls, and a clock of their own."""
