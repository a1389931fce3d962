"""Twilio Proxy's API for voice, served from pairs, so that its official clients work unchanged."""
