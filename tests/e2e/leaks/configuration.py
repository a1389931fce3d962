"""Reads from Asterisk's console which protections its loaded configuration lacks."""

import re

from tests.e2e.system import System

# Every option of both endpoints that closes a leak or prevents a third leg, as the console shows it.
PROTECTING = {
    "allow_transfer": "false",
    "direct_media": "false",
    "max_video_streams": "0",
    "redirect_method": "user",
    "send_connected_line": "no",
    "send_diversion": "false",
    "send_history_info": "false",
    "send_pai": "false",
    "send_rpid": "false",
    "t38_udptl": "false",
    "trust_connected_line": "no",
    "trust_id_inbound": "false",
    "trust_id_outbound": "false",
}
# Dial's flags. i: no forward; I: no update of identities; r: no sound before the answer.
NEEDED = frozenset("iIr")
# U and b run steps of our own on the callee's channel.
ALLOWED = NEEDED | frozenset("Ub")
# What keeps a callee from a call that it has not taken: the bridge is denied first, and only its key allows it.
ANSWERS = ("Set(GOSUB_RESULT=CONTINUE)", '$["${RN_PRESSED}" = "${RN_KEY}"]?taken')
TARGET = "PJSIP/${RN_DIAL}"
OPTION = re.compile(r"^ (\w+) +: (.*?) *$", re.MULTILINE)
DIAL = re.compile(r"Dial\((.*)\) +\[\w+\.conf:\d+\]$", re.MULTILINE)
RUN = re.compile(r"U\(([\w-]+)\^")
INNERMOST = re.compile(r"\([^()]*\)|\$\{[^{}]*\}")


def unprotected_endpoint(system: System, name: str) -> set[str]:
    """The options of an endpoint that have a wrong value."""
    found = dict(OPTION.findall(system.asterisk_console(f"pjsip show endpoint {name}")))
    return {option for option, value in PROTECTING.items() if found.get(option) != value}


def unprotected_dialplan(system: System, context: str) -> set[str]:
    """What is wrong in the dialplan that dials the hidden number."""
    shown = system.asterisk_console(f"dialplan show {context}")
    wrong = {"Goto"} if " Goto(" in shown else set()
    dials = DIAL.findall(shown)
    if [dial.partition(",")[0] for dial in dials] != [TARGET]:
        wrong.add("target")
    for run in RUN.findall("".join(dials)):
        answers = system.asterisk_console(f"dialplan show {run}")
        wrong |= {each for each in ANSWERS if each not in answers}
    return wrong | {f"flags {_flags(dial)}" for dial in dials if not NEEDED <= set(_flags(dial)) <= ALLOWED}


def unproven_identity(system: System, context: str) -> set[str]:
    """The headers by which a caller could pass for the hidden number: all but the one that the carrier writes."""
    shown = system.asterisk_console(f"dialplan show {context}")
    return set(re.findall(r"PJSIP_HEADER\(\w+,([\w-]+)", shown)) ^ {"P-Asserted-Identity"}


def _flags(dial: str) -> str:
    """The letters of Dial's third argument, without their arguments in brackets."""
    while (bare := INNERMOST.sub("", dial)) != dial:
        dial = bare
    return dial.split(",")[2]
