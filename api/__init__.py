"""The HTTP API: bookings, call records, health. `api.app.build_app` makes it; nothing here decides."""
