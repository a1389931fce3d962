"""/docs: an interactive page of /openapi.json, for people. Works offline: all of its files lie here.

`swagger-ui/` is another project's, as it is: what and which version stands in its file VENDORED.
"""
