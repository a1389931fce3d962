"""The two SIP accounts of the demo profile, and their parts of Asterisk's configuration."""

from dataclasses import dataclass

from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.config.types import Profile


@dataclass(frozen=True, slots=True)
class Softphone:
    """A SIP account of the demo.

    Attributes:
        user: The SIP user name.
        number: The hidden number, E.164.
        rented: The rented number whose calls ring this softphone, E.164.
    """

    user: str
    number: str
    rented: str


SOFTPHONES = (
    Softphone("softphone1", "+33199009001", "+33199008001"),
    Softphone("softphone2", "+33199009002", "+33199008002"),
)


# Rings in the browser, on the page /phone; engine.asterisk.browser_phones has the caller that goes with it.
BROWSER_PHONE = Softphone("browser-hidden", "+33199009003", "+33199008003")


def phone_globals(settings: Settings) -> str:
    """Returns the dialplan's global variables that map a hidden number to the softphone that has it."""
    phones = list(SOFTPHONES) if settings.profile is Profile.DEMO else []
    if settings.has_browser_phone:
        phones.append(BROWSER_PHONE)
    return "\n".join(f"RN_PHONE_{phone.number.removeprefix('+')}={phone.user}" for phone in phones)


def softphone_sections(settings: Settings, kept: Secrets) -> str:
    """Returns the softphones' sections of pjsip_softphones.conf; empty outside the demo."""
    if settings.profile is not Profile.DEMO:
        return ""
    passwords = (kept.softphone1_password, kept.softphone2_password)
    return "\n".join(
        f"[{phone.user}](softphone)\nauth = {phone.user}\naors = {phone.user}\n"
        f"callerid = <{phone.number}>\n"
        # Its account shows who calls, as a carrier's P-Asserted-Identity does.
        f"set_var = RN_ASSERTED=1/.tel%3A%2B{phone.number[1:]}/.\n"
        f"[{phone.user}](softphone-auth)\nusername = {phone.user}\npassword = {password}\n"
        f"[{phone.user}](softphone-aor)\n"
        for phone, password in zip(SOFTPHONES, passwords, strict=True)
    )
