"""Who may use the telephones: pages that this server sent to a browser on this machine.

A page of another origin cannot read answers, but could open a WebSocket. If an attacker points a name of theirs to this
machine (DNS rebinding), their page has the same origin as ours, so only names of this machine itself are accepted. A
request that came through a proxy counts as one from another machine.
"""

import ipaddress

from aiohttp import hdrs, web
from yarl import URL

from api.http.problems import ProblemError
from engine.asterisk.browser_phones import BrowserPhones

PHONES = web.AppKey("PHONES", BrowserPhones)
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
# Set by proxies, those of deploy/proxy among them.
FORWARDED = (hdrs.X_FORWARDED_FOR, hdrs.FORWARDED, hdrs.VIA)


def require_own_page(request: web.Request) -> None:
    """Checks that a request comes from our page in a browser on this machine.

    Browsers send Origin with each POST and each WebSocket.

    Raises:
        ProblemError: It does not. The answer is that of a path that does not exist.
    """
    origins, hosts = request.headers.getall(hdrs.ORIGIN, []), request.headers.getall(hdrs.HOST, [])
    is_ours = len(origins) == len(hosts) == 1 and origins[0] == f"http://{hosts[0]}" and _names_this_machine(origins[0])
    if not (is_ours and _is_local(request)) or any(name in request.headers for name in FORWARDED):
        raise ProblemError("not_found", "The telephones answer only to a browser on the engine's own machine.")


def _names_this_machine(origin: str) -> bool:
    try:
        return URL(origin).host in THIS_MACHINE
    except ValueError:
        return False


def _is_local(request: web.Request) -> bool:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return peer is not None and ipaddress.ip_address(peer[0]).is_loopback
