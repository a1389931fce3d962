"""Bookings: their life, adjustments, blocked callers, explanations, and the number pool."""
