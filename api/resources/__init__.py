"""One module for each resource: its routes and handlers."""
