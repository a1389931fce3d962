"""HTTP for all resources: authentication, rate limits, idempotency, parsing, paging, problems and the server."""
