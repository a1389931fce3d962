"""The page /phone: a caller and a hidden telephone in the browser, on this machine only."""
