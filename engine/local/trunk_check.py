"""The check of `doctor` for the trunks: their passwords, where calls come in, and their registrations."""

import re
import subprocess
from collections.abc import Iterator

from engine.asterisk.config_files import AsteriskHome, find_program, trunk_passwords
from engine.config.settings import Settings
from engine.config.trunk_settings import TrunkSettings
from engine.local.doctor_checks import Finding, Verdict

PART = "trunks"
CONSOLE_SECONDS = 5.0
# As in `trunk-main/sip:sbc.carrier.example  trunk-main  Registered (exp. 48s)`.
_REGISTRATION = re.compile(r"^ *(\S+?)/\S+ .*\b(Registered|Unregistered|Rejected|Stopped)\b", re.MULTILINE)
# As in `Contact:  trunk-main/sip:sbc.carrier.example  1a2b3c4d5e Avail  1.234`.
_CONTACT = re.compile(r"^ *Contact: +(\S+?)/\S+ .*\b(Avail|Unavail|NonQual|Unknown)\b", re.MULTILINE)


def trunks(settings: Settings) -> Iterator[Finding]:
    """Checks that each trunk has its password, that calls can come in, and that each registration stands."""
    trunk_passwords(settings)
    if not any(trunk.takes_calls for trunk in settings.trunks_in_use):
        yield Finding(
            PART,
            Verdict.WARNING,
            "no call to a rented number can come in over any trunk",
            "give a trunk addresses, or let it register",
        )
    else:
        names = ", ".join(trunk.name for trunk in settings.trunks_in_use)
        yield Finding(PART, Verdict.OK, f"{names}; every password that is needed is there")
    yield from _registrations(settings)


def _registrations(settings: Settings) -> Iterator[Finding]:
    """Asks the console of our own Asterisk, if it runs; the manager interface has no right to read registrations."""
    home = AsteriskHome((settings.data_dir / "asterisk").absolute())
    registered = [trunk for trunk in settings.trunks_in_use if trunk.registers]
    if not registered or not settings.manage_asterisk or not (home.run / "asterisk.ctl").exists():
        return
    states = dict(_REGISTRATION.findall(_console(home, "pjsip show registrations")))
    contacts = dict(_CONTACT.findall(_console(home, "pjsip show contacts")))
    for trunk in registered:
        state = states.get(trunk.endpoint)
        if state == "Registered":
            yield Finding(PART, Verdict.OK, f"{trunk.name} is registered with its carrier")
        elif state is not None:
            yield _not_registered(trunk, contacts.get(trunk.endpoint))


def _not_registered(trunk: TrunkSettings, contact: str | None) -> Finding:
    """Says why a trunk is not registered, as far as its OPTIONS requests show whether the carrier answers at all."""
    password = f"check username, and store the right password with `rented-numbers trunks password {trunk.name}`"
    address = "check uri, outbound_proxy and the firewall"
    what, fix = {
        "Avail": ("its carrier answers, but refuses to register it", password),
        "Unavail": ("its carrier does not answer", address),
    }.get(contact or "", ("its carrier refuses to register it, or does not answer", f"{password}; {address}"))
    return Finding(PART, Verdict.FAILED, f"{trunk.name} is not registered: {what}", f"{fix}. It is tried again")


def _console(home: AsteriskHome, command: str) -> str:
    """Returns the output of a console command of our own Asterisk; empty if it does not answer."""
    words = [*find_program().command, "-C", str(home.config), "-rx", command]
    try:
        done = subprocess.run(words, capture_output=True, check=True, text=True, timeout=CONSOLE_SECONDS)  # noqa: S603
    except subprocess.SubprocessError:
        return ""
    return done.stdout
