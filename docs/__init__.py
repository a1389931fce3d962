"""The documents, and in docs/generate the code that writes the references and builds the site."""
