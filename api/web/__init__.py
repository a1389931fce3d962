"""The web pages: the frame that all of them share, the operator's console, and what serves them."""
