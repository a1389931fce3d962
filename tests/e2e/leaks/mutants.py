"""Mutants: Asterisk's settings with a protection removed, one mutant for each protection, all in one Asterisk.

Each mutant is a carrier, a trunk and a dialplan in addition to the product's own, made from the files that the product
writes. Its callers have an address of their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from engine.asterisk.prompts import DIRECTORY
from engine.domain.prompts import Language, Prompt, sound_of
from tests.e2e.leaks.system import LeakSystem

# Modules that an existing Asterisk may have loaded.
MORE_MODULES = ("res_pjsip_refer.so", "bridge_builtin_features.so")


class Seen(Enum):
    """What detects a mutant."""

    NOWHERE = "nothing: it protects as the product does"
    CONFIGURATION = "the test of the configuration; on the wire another protection still works"
    LEAK = "the search: the caller receives something"
    WAY = "the call's way: another answer, or an unexpected number is dialled"


@dataclass(frozen=True)
class Mutant:
    """One mutant.

    Attributes:
        options: Changed options of both endpoints.
        dialplan: Replacements in the dialplan of a call.
        answers: Replacements in what runs when the callee answers.
        transfers: Whether a transfer may work, so that REFER and telephone keys are tried too.
        media: Whether fax or video may pass, so that offers of them are tried too.
        tries: How often each of its calls is made.
        greets: Whether its caller hears a greeting, so that such a call is tried, too.
        spoofs: Whether a caller may pass for the hidden number, so that this is tried, too.
    """

    name: str
    seen: Seen
    options: Mapping[str, str] = field(default_factory=dict)
    dialplan: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    transfers: bool = False
    media: bool = False
    tries: int = 1
    greets: bool = False
    spoofs: bool = False


def option(
    name: str, value: str, seen: Seen = Seen.CONFIGURATION, *, transfers: bool = False, media: bool = False
) -> Mutant:
    return Mutant(f"{name}={value}", seen, {name: value}, transfers=transfers, media=media)


def dial(flags: str, seen: Seen, options: Mapping[str, str] | None = None, *, transfers: bool = False) -> Mutant:
    """A mutant whose Dial has other flags than iIr."""
    name = "".join(f"{each}={value}, " for each, value in (options or {}).items())
    return Mutant(f"{name}Dial {flags}", seen, options or {}, {",iIrU(": f",{flags}U("}, transfers=transfers)


# The header that anybody can write, in place of the one that the carrier writes.
FROM = {"P-Asserted-Identity": "From", "p-asserted-identity": "from"}
# Greeted calls without Dial's r: what they have in its place, and nothing.
GREETED_WITHOUT_R = {",iIrU(": ",iI${IF($[${LEN(${RN_GREETING})} = 0]?r)}U("}
UNHEARD = {":m(rented-numbers-${FILTER(a-z,${RN_GREETING})})": ""}
AS_EXTEN = {"Dial": "Goto"}
# Each of these, Dial's I, and send_pai with send_rpid closes alone what the others would leave open.
TRUST = {"trust_id_inbound": "yes", "trust_connected_line": "yes", "send_connected_line": "yes"}
LEAK, WAY, CONFIGURATION = Seen.LEAK, Seen.WAY, Seen.CONFIGURATION
MUTANTS = (
    Mutant("nothing", Seen.NOWHERE, transfers=True, media=True, greets=True, spoofs=True),
    # One protection removed.
    option("send_pai", "yes"),
    option("send_rpid", "yes"),
    option("send_diversion", "yes"),
    option("send_history_info", "yes"),
    option("send_connected_line", "yes"),
    option("trust_id_inbound", "yes"),
    option("trust_connected_line", "yes"),
    option("direct_media", "yes", LEAK),
    option("allow_transfer", "yes", WAY, transfers=True),
    option("t38_udptl", "yes", WAY, media=True),
    option("max_video_streams", "1", WAY, media=True),
    option("redirect_method", "uri_core"),
    option("redirect_method", "uri_pjsip", WAY),
    dial("Ir", WAY),
    dial("ir", CONFIGURATION),
    dial("iI", LEAK),
    dial("iIrt", WAY, transfers=True),
    dial("iIrT", WAY, transfers=True),
    Mutant("destination as EXTEN", CONFIGURATION, {}, AS_EXTEN),
    Mutant("bridge not denied first", WAY, answers={"Set(GOSUB_RESULT=CONTINUE)": "Set(GOSUB_RESULT=)"}),
    Mutant("any key or none", WAY, answers={'$["${RN_PRESSED}" = "${RN_KEY}"]?taken': "1?taken"}),
    Mutant("greeting without r", CONFIGURATION, {}, GREETED_WITHOUT_R, greets=True),
    Mutant("From in place of the asserted identity", WAY, {}, FROM, spoofs=True),
    # All protections removed that cover for each other.
    dial("ir", LEAK, {"send_pai": "yes", **TRUST}),
    dial("ir", LEAK, {"send_rpid": "yes", **TRUST}),
    dial("ir", LEAK, {"send_diversion": "yes"}),
    dial("ir", LEAK, {"send_history_info": "yes"}),
    dial("Ir", WAY, {"redirect_method": "uri_core"}),
    Mutant("greeting without r and m", LEAK, {}, {**GREETED_WITHOUT_R, **UNHEARD}, greets=True),
    # Asterisk leaks in most calls, but not in all: on a busy machine 1 of 20 calls does not show the identity.
    Mutant("destination as EXTEN, Dial ir", LEAK, {"send_pai": "yes"}, {**AS_EXTEN, ",iIrU(": ",irU("}, tries=10),
)


def address(mutant: Mutant) -> str:
    """The address of its callers."""
    return f"127.1.0.{MUTANTS.index(mutant) + 1}"


class MutantSystem(LeakSystem):
    def stop(self) -> None:
        # For mutants that forward, Asterisk logs the number that it could not forward to.
        self.hidden.clear()
        super().stop()

    def alter(self, etc: Path) -> None:
        # A prompt of ours for callers would hide what sound a mutant lets through.
        (etc.parent / DIRECTORY / f"{sound_of(Prompt.UNREACHABLE, Language.EN)}.wav").unlink()
        pjsip, dialplan = (etc / f"{name}_rented_numbers.conf" for name in ("pjsip", "extensions"))
        sip, calls = pjsip.read_text(), dialplan.read_text()
        with pjsip.open("a") as more_sip, dialplan.open("a") as more_calls:
            for number, mutant in enumerate(MUTANTS):
                more_sip.write(_endpoints(sip, number, mutant))
                more_calls.write(_way(calls, number, mutant))
        with (etc / "modules.conf").open("a") as modules:
            modules.write("".join(f"load = {module}\n" for module in MORE_MODULES))


def _endpoints(sip: str, number: int, mutant: Mutant) -> str:
    for name, value in mutant.options.items():
        sip, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", sip, flags=re.MULTILINE)
        assert count == 1, name
    sip = re.sub(r"\b(carrier|trunk)-main\b", rf"\1-m{number}", sip)
    sip = re.sub(r"\brented-numbers\b(?=[]()\n])", rf"rented-numbers-m{number}", sip)
    # All trunks share the product's address, so the mutant's `identify` section is removed.
    sip = sip[: sip.index(f"[trunk-m{number}]\ntype = identify")]
    return "\n" + re.sub(r"^match = .*", f"match = {address(mutant)}", sip, flags=re.MULTILINE)


def _way(calls: str, number: int, mutant: Mutant) -> str:
    # At line starts, because comments of the dialplan may name its contexts.
    way = calls[calls.index("\n[rented-numbers-asserted]") : calls.index("\n[rented-numbers-answered]")]
    way = way.replace("[rented-numbers]", f"[rented-numbers-m{number}]").replace(
        "@trunk-${RN_TRUNK}", f"@trunk-m{number}"
    )
    if mutant.answers:
        answers = calls[calls.index("\n[rented-numbers-answered]") : calls.index("\n[rented-numbers-withheld]")]
        for old, new in mutant.answers.items():
            assert old in answers, old
            answers = answers.replace(old, new)
        way = (way + answers).replace("rented-numbers-answered", f"rented-numbers-m{number}-answered")
    way = way.replace("[rented-numbers-asserted]", f"[rented-numbers-m{number}-asserted]")
    way = way.replace("?rented-numbers-asserted,", f"?rented-numbers-m{number}-asserted,")
    for old, new in mutant.dialplan.items():
        if old != "Dial":
            assert old in way, old
            way = way.replace(old, new)
    if "Dial" in mutant.dialplan:
        # The hidden number becomes the extension of the caller's channel.
        [dialled] = re.findall(r"^ same => n,Dial\(.*\n", way, re.MULTILINE)
        way = way.replace(dialled, f" same => n,Goto(rented-numbers-m{number}-dial,${{RN_DESTINATION}},1)\n")
        dialled = dialled.replace(" same => n", "exten => _[+0-9]!,1")
        dialled = dialled.replace("PJSIP/${RN_DIAL}", f"PJSIP/${{EXTEN}}@trunk-m{number}")
        way += f"\n[rented-numbers-m{number}-dial]\n{dialled} same => n,Hangup(17)\n"
    return "\n" + way
