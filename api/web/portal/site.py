"""The portal's pages, in the order of the navigation."""

from api.web.frame.site import Site
from api.web.portal.bookings import booking_actions, booking_pages
from api.web.portal.calls import call_pages
from api.web.portal.deliveries import delivery_actions, delivery_pages
from api.web.portal.entry import for_account, frame_origin, of_account
from api.web.portal.keys import key_actions, key_pages
from engine.domain.web_access import CUSTOMER_ROLES


def portal_site() -> Site:
    """Returns the portal. All its pages and actions are for the session's account."""
    pages = (*booking_pages(), *call_pages(), *delivery_pages(), *key_pages())
    actions = (*booking_actions(), *delivery_actions(), *key_actions())
    return Site(
        name="Portal",
        title="Your numbers",
        prefix="/portal",
        roles=CUSTOMER_ROLES,
        cookie="rn_portal",
        pages=tuple(of_account(page) for page in pages),
        actions=tuple(for_account(action) for action in actions),
        frame_origin=frame_origin,
        has_shell=False,
    )
