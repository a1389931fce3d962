"""Reads what Asterisk's console prints, in versions 20 to 22. The tests have recorded outputs."""

import re
from typing import NamedTuple

# Name, description, use count, status and support level; only the description has spaces.
_MODULE = re.compile(r"^(\S+)\.so +.* \d+ +(Running|Not Running) ", re.MULTILINE)
_VERSION = re.compile(r"Asterisk \D*(\d+)\.([0-9A-Za-z.-]+)")
# One that is suspended gets no records. Asterisk writes `(none)` if there are none.
_BACKEND = re.compile(r"^    (?!\(none\)|.*\(suspended\))(\S.*?) *$", re.MULTILINE)
_SUBSCRIBER = re.compile(r"^CEL Event Subscriber: (.*?) *$", re.MULTILINE)
_LOG_CHANNEL = re.compile(r"^(.*?) *\b(File|Syslog|Console) +(\S+) +(Enabled|Disabled) +- *(.*)$", re.MULTILINE)
_TRANSPORT = re.compile(r"^Transport: +(\S+) +(\w+) +\d+ +\d+ +\S+", re.MULTILINE)
# As in `trunk-main/sip:sbc.carrier.example  trunk-main  Registered (exp. 48s)`.
_REGISTRATION = re.compile(r"^ *(\S+?)/\S+ .*\b(Registered|Unregistered|Rejected|Stopped)\b", re.MULTILINE)
# As in `Contact:  trunk-main/sip:sbc.carrier.example  1a2b3c4d5e Avail  1.234`.
_CONTACT = re.compile(r"^ *Contact: +(\S+?)/\S+ .*\b(Avail|Unavail|NonQual|Unknown)\b", re.MULTILINE)
_PARAMETER = re.compile(r"^ (\w+) +: (.*?) *$", re.MULTILINE)
_FIELD = re.compile(r"^ *([A-Za-z][A-Za-z ]*?) *: *(.*?) *$", re.MULTILINE)
_HISTORY_ENTRY = re.compile(r"^(\d+ |<--- History Entry )", re.MULTILINE)
_EXISTING_CONTEXT = re.compile(r"^\[ Context '(.+?)' created by ", re.MULTILINE)


class LogChannel(NamedTuple):
    """Where Asterisk logs.

    Attributes:
        name: The file's path, which may be cut, or the facility of syslog; empty for the console.
        kind: `File`, `Syslog` or `Console`.
        levels: Its levels, in small letters.
    """

    name: str
    kind: str
    levels: frozenset[str]


def version(text: str) -> tuple[int, str] | None:
    """Reads `core show version`: the major version, and all of it."""
    found = _VERSION.search(text)
    return (int(found[1]), f"{found[1]}.{found[2]}") if found else None


def running_modules(text: str) -> set[str]:
    """Reads `module show`."""
    return {name for name, status in _MODULE.findall(text) if status == "Running"}


def fields(text: str) -> dict[str, str]:
    """Reads `core show settings`, `cdr show status`, `manager show user` and the like: names and values."""
    return dict(_FIELD.findall(text))


def record_backends(text: str) -> list[str]:
    """Reads `cdr show status` and `cel show status`: the back-ends that get records; none if nothing is logged."""
    shown = fields(text)
    if "Enabled" not in {shown.get("Logging"), shown.get("CEL Logging")}:
        return []
    return _SUBSCRIBER.findall(text) or _BACKEND.findall(text.partition("Registered Backends")[2])


def log_channels(text: str) -> list[LogChannel]:
    """Reads `logger show channels`."""
    return [
        LogChannel(name, kind, frozenset(levels.lower().split()))
        for name, kind, _, _, levels in _LOG_CHANNEL.findall(text)
    ]


def transports(text: str) -> dict[str, str]:
    """Reads `pjsip show transports`: names and protocols."""
    return dict(_TRANSPORT.findall(text))


def parameters(text: str) -> dict[str, str]:
    """Reads `pjsip show endpoint NAME` and the like; empty if there is no such object."""
    return dict(_PARAMETER.findall(text))


def has_history(text: str) -> bool:
    """Reads `pjsip show history`: whether it holds a message."""
    return bool(_HISTORY_ENTRY.search(text))


def contexts(text: str) -> set[str]:
    """Reads `dialplan show CONTEXT`: the contexts that exist."""
    return set(_EXISTING_CONTEXT.findall(text))


def registrations(text: str) -> dict[str, str]:
    """Reads `pjsip show registrations`: the state of each."""
    return dict(_REGISTRATION.findall(text))


def contacts(text: str) -> dict[str, str]:
    """Reads `pjsip show contacts`: for each endpoint, whether its contact answers OPTIONS requests."""
    return dict(_CONTACT.findall(text))
