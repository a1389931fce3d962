"""Settings, secrets, and the figures that no operator changes."""
