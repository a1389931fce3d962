"""Writes the documents that repeat what the code states, and builds the site of all documents."""
