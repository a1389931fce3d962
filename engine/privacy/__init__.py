"""Privacy: retention, and the erasure of a person's number."""
