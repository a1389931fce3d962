"""What all web pages share: sessions, protection, templates, static files, streams, and the types of pages."""
