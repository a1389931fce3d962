"""⑨ Delivery of callbacks: rows of the outbox go out, at least once, signed, and only to where they may go."""
