"""The two SIP accounts of the demo profile, and what Asterisk's files say of them."""

from dataclasses import dataclass

from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.config.types import Profile


@dataclass(frozen=True, slots=True)
class Softphone:
    """`number` is its hidden one; dialling `rented` makes it ring."""

    user: str
    number: str
    rented: str


SOFTPHONES = (
    Softphone("softphone1", "+33199009001", "+33199008001"),
    Softphone("softphone2", "+33199009002", "+33199008002"),
)


def phone_globals(settings: Settings) -> str:
    if settings.profile is not Profile.DEMO:
        return ""
    return "\n".join(f"RN_PHONE_{phone.number.removeprefix('+')}={phone.user}" for phone in SOFTPHONES)


def softphone_sections(settings: Settings, kept: Secrets) -> str:
    if settings.profile is not Profile.DEMO:
        return ""
    passwords = (kept.softphone1_password, kept.softphone2_password)
    return "\n".join(
        f"[{phone.user}](softphone)\nauth = {phone.user}\naors = {phone.user}\n"
        f"callerid = <{phone.number}>\n"
        f"[{phone.user}](softphone-auth)\nusername = {phone.user}\npassword = {password}\n"
        f"[{phone.user}](softphone-aor)\n"
        for phone, password in zip(SOFTPHONES, passwords, strict=True)
    )
