"""/docs: an interactive page for /openapi.json. It works offline, because all its files are here.

`swagger-ui/` is an unchanged copy of another project. Its file VENDORED names the project and the version.
"""
