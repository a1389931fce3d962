"""The checks of `doctor` for the trunks: their passwords, where calls come in, and their registrations."""

from collections.abc import AsyncIterator, Iterator

from engine.asterisk import console_output as output
from engine.asterisk.config_files import trunk_passwords
from engine.config.settings import Settings
from engine.config.trunk_settings import TrunkSettings
from engine.local.asterisk_checks import AskedAsterisk
from engine.local.findings import Finding, Verdict

PART = "trunks"
ADDRESS = "check uri, outbound_proxy and the firewall"


def trunks(settings: Settings) -> Iterator[Finding]:
    """Checks that each trunk has its password and that calls can come in.

    Raises:
        InsecureSecrets: A password is missing or cannot be used.
    """
    trunk_passwords(settings)
    if any(trunk.takes_calls for trunk in settings.trunks_in_use):
        names = ", ".join(trunk.name for trunk in settings.trunks_in_use)
        yield Finding(PART, Verdict.OK, f"{names}; every password that is needed is there")
    else:
        what = "no call to a rented number can come in over any trunk"
        yield Finding(PART, Verdict.WARNING, what, "give a trunk addresses, or let it register")


async def registrations(asterisk: AskedAsterisk, part: str) -> AsyncIterator[Finding]:
    """Checks that each trunk that registers is registered."""
    registered = [trunk for trunk in asterisk.settings.trunks_in_use if trunk.registers]
    if not registered:
        yield Finding(part, Verdict.OK, "no trunk registers")
        return
    states = output.registrations(await asterisk.console.run("pjsip show registrations"))
    contacts = output.contacts(await asterisk.console.run("pjsip show contacts"))
    for trunk in registered:
        if states.get(trunk.endpoint) == "Registered":
            yield Finding(part, Verdict.OK, f"trunk {trunk.name} is registered with its carrier")
        else:
            yield _not_registered(part, trunk, contacts.get(trunk.endpoint))


def _not_registered(part: str, trunk: TrunkSettings, contact: str | None) -> Finding:
    """Says why a trunk is not registered, as far as its OPTIONS requests show whether the carrier answers at all."""
    password = f"check username, and store the right password with `rented-numbers trunks password {trunk.name}`"
    what, fix = {
        "Avail": ("its carrier answers, but refuses to register it", password),
        "Unavail": ("its carrier does not answer", ADDRESS),
    }.get(contact or "", ("its carrier refuses to register it, or does not answer", f"{password}; {ADDRESS}"))
    return Finding(part, Verdict.FAILED, f"trunk {trunk.name} is not registered: {what}", f"{fix}. It is tried again")
