"""Callbacks: what customers are notified of, the outbox, and its signed delivery."""
