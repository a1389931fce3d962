"""The console's pages, in the order of the navigation."""

from api.web.console.accounts import account_actions, accounts_pages
from api.web.console.booking_actions import booking_actions
from api.web.console.bookings import bookings_pages
from api.web.console.callbacks import callback_actions, callbacks_pages
from api.web.console.calls import calls_pages
from api.web.console.hidden_number import hidden_number_action
from api.web.console.ledger import ledger_actions, ledger_page
from api.web.console.live_calls import LiveCalls
from api.web.console.numbers import number_actions, numbers_page
from api.web.console.security_log import security_log_page
from api.web.console.system_map import system_map_page
from api.web.console.today import Today
from api.web.console.trunks import trunks_page
from api.web.console.why import why_page
from api.web.frame.site import Site
from engine.domain.web_access import OPERATOR_ROLES


def console_site() -> Site:
    """Returns the console. Each application has one of its own, because some pages keep what they have read."""
    live = LiveCalls()
    return Site(
        name="Console",
        title="Rented numbers",
        prefix="/console",
        roles=OPERATOR_ROLES,
        cookie="rn_console",
        pages=(
            Today().page(),
            why_page(),
            *calls_pages(),
            live.page(),
            *bookings_pages(),
            *callbacks_pages(),
            numbers_page(),
            *accounts_pages(),
            trunks_page(),
            system_map_page(),
            ledger_page(),
            security_log_page(),
        ),
        actions=(
            *live.actions(),
            *booking_actions(),
            *callback_actions(),
            *number_actions(),
            *account_actions(),
            hidden_number_action(),
            *ledger_actions(),
        ),
        streams=live.streams(),
    )
