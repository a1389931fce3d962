"""Twilio Proxy's services and sessions, made of pairs."""
