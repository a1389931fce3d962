"""The two telephones of the page /phone: a caller on the telephone network, and a hidden telephone."""

from dataclasses import dataclass

from engine.asterisk.softphones import BROWSER_PHONE
from engine.config.secrets import Secrets
from engine.config.settings import Settings

CALLER = "browser-caller"
# The caller's number, which the hidden telephone sees; reserved for fiction, as all of the demo's.
CALLER_NUMBER = "+33199007003"


@dataclass(frozen=True, slots=True, repr=False)
class BrowserPhones:
    """What the page needs to reach Asterisk.

    Attributes:
        port: The port of Asterisk's WebSocket on this machine.
        passwords: The password of each telephone, by its SIP user name.
    """

    port: int
    passwords: dict[str, str]


def browser_phones(settings: Settings, kept: Secrets) -> BrowserPhones | None:
    """Returns the telephones of the page; None without the page."""
    if not settings.has_browser_phone:
        return None
    passwords = {CALLER: kept.browser_caller_password, BROWSER_PHONE.user: kept.browser_hidden_password}
    return BrowserPhones(settings.browser_phone_port, passwords)


def browser_phone_values(settings: Settings, kept: Secrets) -> dict[str, object]:
    """Returns the values of the placeholders in Asterisk's files. Without the page there are no passwords in them."""
    phones = browser_phones(settings, kept)
    passwords = phones.passwords if phones else {}
    return {
        "http_enabled": "yes" if phones else "no",
        "browser_phone_port": settings.browser_phone_port,
        "browser_phone_modules": '#include "modules_browser_phones.conf"' if phones else "",
        "browser_phones": '#include "pjsip_browser_phones.conf"' if phones else "",
        "browser_caller_number": CALLER_NUMBER,
        "browser_caller_password": passwords.get(CALLER, ""),
        "browser_hidden_password": passwords.get(BROWSER_PHONE.user, ""),
    }
