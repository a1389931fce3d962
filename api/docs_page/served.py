"""The page /docs: the content security policy lets it load its own files and call this server only."""

from pathlib import Path

from api.http.static_page import StaticPage

FILES = Path(__file__).parent
# In the order of the page.
CONTENT_TYPES = {
    "swagger-ui/swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
# Without `unsafe-inline` and `unsafe-eval`. The style sheet has small pictures as `data:`.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
PAGE = StaticPage("docs", FILES, CONTENT_TYPES, SECURITY)
ROUTES = PAGE.routes()
