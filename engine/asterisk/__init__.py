"""Asterisk: its manager interface (AMI), the limits of its live channels, and its configuration files."""
