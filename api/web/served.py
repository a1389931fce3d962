"""Adds the web pages to the API's application."""

from collections.abc import AsyncIterator

from aiohttp import web

from api.http.routes import Route
from api.web.console.site import console_site
from api.web.frame.page_turns import TURNS, PageTurns
from api.web.frame.rendering import set_up_templates
from api.web.frame.services import WEB, WebServices
from api.web.frame.serving import routes_of
from api.web.frame.site import Site
from api.web.portal.site import portal_site


def sites() -> tuple[Site, ...]:
    """Returns the sites. Each application has some of its own, because pages keep what they have read."""
    return (console_site(), portal_site())


def set_up_pages(app: web.Application, services: WebServices) -> tuple[Route, ...]:
    """Prepares an application for the pages.

    Returns:
        Their routes.
    """
    app[WEB] = services
    app[TURNS] = PageTurns()
    set_up_templates(app)
    app.cleanup_ctx.append(_reading)
    app.on_shutdown.append(_end)
    return tuple(route for site in sites() for route in routes_of(site))


async def _reading(app: web.Application) -> AsyncIterator[None]:
    """Keeps the pages' connections open while the application is served."""
    async with app[WEB].reads:
        yield


async def _end(app: web.Application) -> None:
    """Ends what would keep the server waiting for its clients."""
    app[WEB].streams.is_closing.set()
    await app[WEB].commands.close()
