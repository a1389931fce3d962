"""The dialplan agrees with the engine and has every option that closes a leak."""

import re

import pytest

from agi_scripts import dialplan
from agi_scripts.asserted_identity import LONGEST_HEADER
from engine.asterisk.call_variables import DIALED_PEER, SECONDS, VERDICT
from engine.asterisk.config_files import TEMPLATES, render
from engine.asterisk.exposures import NEEDED_MODULES, VOICE_MODULES
from engine.asterisk.silent_trunks import CONTEXT, EXTENSION, LABEL, TRIED
from engine.domain.failover import FINAL_ANSWERS, NOT_FINAL, ends_search, final_answers_pattern
from engine.domain.prompts import Language, Prompt, sound_of
from engine.domain.rejections import ALL_SLOTS_HELD, BOOKING_EXPIRED, FORBIDDEN, UNKNOWN_NUMBER
from engine.domain.routing import AskPin, Bridge, RouteDecision
from tests.contract.samples import BOOKING, CALLER, HIDDEN, POLICY
from tests.unit.dialplan_text import (
    AGIS,
    DIAL,
    STEPS,
    Parsed,
    arguments_of,
    position,
    set_name,
    steps_of,
    uses,
    value_of,
)

BRIDGE = Bridge(BOOKING, HIDDEN, 60, 30, CALLER)
ASK_PIN = AskPin(Prompt.PIN)
FROM_THE_ENGINE = {VERDICT, SECONDS} | {
    value for value in vars(dialplan).values() if isinstance(value, str) and value.startswith("RN_")
}
# What a caller, a callee or the engine can write. Asterisk's own words, such as DIALSTATUS, are not among it.
FROM_OUTSIDE = (FROM_THE_ENGINE - {VERDICT}) | {
    "ANSWEREDTIME_MS",
    "CALLERID",
    "CHANNEL",
    "CUT",
    "EXTEN",
    "HANGUPCAUSE",
    "IMPORT",
    "PJSIP_HEADER",
    "PJSIP_HEADERS",
}
# Set by pjsip.conf.
FROM_PJSIP = {"RN_ASSERTS"}
# Built into Asterisk's core: they need no module.
BUILT_IN = {"Goto", "GotoIf", "Hangup", "Progress", "Set"}
MODULES = {
    "AGI": "res_agi",
    "Dial": "app_dial",
    "GosubIf": "app_stack",
    "HangupCauseClear": "func_hangupcause",
    "Playback": "app_playback",
    "Read": "app_read",
    "Return": "app_stack",
    "UserEvent": "app_userevent",
    "CALLERID": "func_callerid",
    "CHANNEL": "func_channel",
    "CUT": "func_cut",
    "FILE": "func_env",
    "FILTER": "func_strings",
    "GLOBAL": "func_global",
    "GROUP": "func_groupcount",
    "GROUP_COUNT": "func_groupcount",
    "HANGUPCAUSE": "func_hangupcause",
    "HANGUPCAUSE_KEYS": "func_hangupcause",
    "IF": "func_logic",
    "IMPORT": "func_logic",
    "LEN": "func_strings",
    "MASTER_CHANNEL": "func_channel",
    "PJSIP_HEADER": "res_pjsip_header_funcs",
    "PJSIP_HEADERS": "res_pjsip_header_funcs",
    "REGEX": "func_strings",
    "SHA1": "func_sha1",
    "STRFTIME": "func_strings",
    "STRREPLACE": "func_strings",
    "TIMEOUT": "func_timeout",
    "TOLOWER": "func_strings",
    "URIENCODE": "func_uri",
}


def test_the_engine_is_asked_with_ten_arguments_the_pin_and_their_mac() -> None:
    """No token is an argument: Asterisk does not show what is between the brackets of SHA1."""
    [(at, step)] = AGIS
    url, given, pin, mac = arguments_of(step.data)
    assert url == f"agi://${{RN_ENGINE}}/{dialplan.ROUTE}"
    assert len(arguments_of(value_of(given, at))) == 10
    assert mac == f"${{SHA1(@agi_token@,${{UNIQUEID}},{dialplan.ROUTE},{given},{pin})}}"
    assert pin == "${RN_PIN}"
    text = (TEMPLATES / "drop_in/extensions_rented_numbers.conf").read_text()
    assert text.count("@agi_token@") == text.count("SHA1(@agi_token@,") == 3


def test_every_variable_that_the_engine_sets_is_read() -> None:
    read = {use.argument.split(",")[0] if use.name == "CUT" else use.name for step in STEPS for use in uses(step.data)}
    assert read >= FROM_THE_ENGINE


def test_every_variable_that_is_read_is_set_by_the_engine_or_the_dialplan() -> None:
    read = {use.name for step in STEPS for use in uses(step.data) if use.name.startswith("RN_")}
    pressed = {arguments_of(step.data)[0] for step in STEPS if step.app == "Read"}
    assert (
        read - FROM_THE_ENGINE - pressed - FROM_PJSIP
        == {set_name(step) for step in STEPS if set_name(step) in read} - FROM_THE_ENGINE - pressed
    )


@pytest.mark.parametrize("decision", [BRIDGE, UNKNOWN_NUMBER, BOOKING_EXPIRED, ALL_SLOTS_HELD, FORBIDDEN, ASK_PIN])
def test_the_verdict_is_known_to_the_dialplan_and_set_last(decision: RouteDecision) -> None:
    names = [name for name, _ in dialplan.verdict(decision, POLICY)]
    assert names[-1] == VERDICT
    assert len(set(names)) == len(names)
    assert set(names) <= FROM_THE_ENGINE
    known = f'"${{RN_VERDICT}}" = "{dict(dialplan.verdict(decision, POLICY))["RN_VERDICT"]}"'
    assert [step for step in STEPS if step.app == "GotoIf" and known in step.data]


def test_without_a_verdict_from_the_engine_the_caller_gets_503() -> None:
    assert (STEPS[0].app, STEPS[0].data) == ("Set", "RN_VERDICT=")
    asked = position("AGI", "/route")
    unknown = " & ".join(f'"${{RN_VERDICT}}" != "{verdict}"' for verdict in ("BRIDGE", "REJECT", "PIN"))
    after = [(step.app, step.data) for step in STEPS[asked + 1 : asked + 8]]
    assert after == [
        ("Set", "TIMEOUT(absolute)=0"),
        ("GotoIf", f'$[{unknown} & "${{RN_ENGINES}}" != ""]?ask'),
        ("Set", "GROUP(rented-numbers)="),
        ("GotoIf", '$["${RN_VERDICT}" = "BRIDGE"]?bridge'),
        ("GotoIf", '$["${RN_VERDICT}" = "REJECT"]?reject'),
        ("GotoIf", '$["${RN_VERDICT}" = "PIN"]?pin'),
        ("Hangup", "42"),
    ]


def test_a_caller_does_not_wait_for_an_engine_that_hangs() -> None:
    """Both are needed: the time-out, and permission to end the AGI for it."""
    [(at, step)] = AGIS
    before = [each.data for each in STEPS[:at] if each.context == step.context]
    assert before[-1] == "TIMEOUT(absolute)=@engine_seconds@"
    assert "AGIEXITONHANGUP=yes" in before
    assert [(s.app, s.data) for s in STEPS if (s.context, s.exten) == (step.context, "T")] == [
        ("GotoIf", '$["${RN_VERDICT}" = "PIN"]?rented-numbers,0,rejected'),
        ("GotoIf", '$["${RN_VERDICT}" != "BRIDGE" & "${RN_ENGINES}" != ""]?rented-numbers,0,ask'),
        ("Hangup", "42"),
    ]


def test_a_calls_end_is_reported_whatever_happens_after_its_lease() -> None:
    assert position("Set", "hangup_handler_push)=rented-numbers-ended,s,1") < position("AGI", "/route")


def test_dial_has_every_option_that_closes_a_leak_and_allows_no_transfer() -> None:
    plain, _, gosub = DIAL[2].partition("U(")
    assert set("iIr") <= set(plain)
    assert not set("tTgG") & set(plain)
    arguments = r"^${CHANNEL}^${UNIQUEID}^${RN_BOOKING}^${FILTER(a-z0-9/&\x2D,${RN_ANNOUNCE})}"
    greeting = "${IF($[${LEN(${RN_GREETING})} = 0]?:m(rented-numbers-${FILTER(a-z,${RN_GREETING})}))}"
    assert gosub == f"rented-numbers-answered{arguments})${{RN_WITHHELD}}{greeting}"


def test_dial_uses_neither_the_dialled_number_nor_the_caller_id() -> None:
    assert not {use.name for part in DIAL for use in uses(part)} & {"EXTEN", "CALLERID", "RN_SERVICE", "RN_SOURCE"}
    assert "${EXTEN" not in "".join(step.data for step in STEPS if step.app in {"Dial", "AGI", "Playback", "Hangup"})


def test_only_the_way_to_dial_reads_the_hidden_number() -> None:
    readers = {set_name(s) or s.app for s in STEPS for use in uses(s.data) if use.name == dialplan.DESTINATION}
    assert readers == {"RN_PHONE"}


def test_outside_input_is_filtered_before_it_is_used() -> None:
    """Reading only its length, or comparing it in quotes with a word, is harmless."""
    filtered = {"RN_ENGINES", "ARG4"}  # a setting, and what Dial() filters
    for step in STEPS:
        harmless = re.sub(r'"\$\{\w+\}"', "", step.data) if step.app == "GotoIf" else step.data
        for use in uses(harmless):
            safe = "FILTER" in use.inside or "LEN" in use.inside or use.name in filtered
            # Names of channels, which Asterisk makes.
            safe = safe or (use.name == "CHANNEL" and use.argument in {"", "hangupsource"})
            safe = safe or (use.name == "IMPORT" and use.argument.endswith(",CHANNEL(hangupsource)"))
            safe = safe or (use.name == "CUT" and use.argument.split(",")[0] in filtered)
            assert safe or use.name not in FROM_OUTSIDE, f"{use.name} in {step.data}"
        # A part of what was filtered is filtered.
        parts = [use.argument.split(",")[0] for use in uses(step.data) if use.name == "CUT"]
        taken_over = {use.name for use in uses(step.data)} <= filtered | {"IF"} and step.app == "Set"
        if "${FILTER(" in step.data or (parts and set(parts) <= filtered) or taken_over:
            filtered.add(set_name(step))


def test_the_arguments_of_the_callees_side_are_filtered_before_they_are_passed_on() -> None:
    """In an argument of Gosub, ^ and comma begin the next one, and Asterisk logs it at a hang-up."""
    dialled = position("Dial", "${RN_DIAL}")
    assert value_of("RN_BOOKING", dialled) == "${FILTER(0-9a-z_,${RN_BOOKING})}"
    assert dialplan.DESTINATION not in DIAL[2]


def test_the_filter_of_a_prompts_name_leaves_every_name_as_it_is() -> None:
    played = [step.data for step in STEPS if step.app in {"Playback", "Read"} and "FILTER(" in step.data]
    assert len(played) == 2
    for data in played:
        [allowed] = [use.argument.split(",")[0] for use in uses(data) if use.name == "FILTER"]
        assert all(
            re.fullmatch(f"[{allowed}]+", sound_of(prompt, Language.EN))
            for prompt in Prompt
            if prompt is not Prompt.PRESS1
        )


def test_filters_remove_every_character_with_a_meaning_to_asterisk() -> None:
    allowed = {use.argument.split(",")[0] for step in STEPS for use in uses(step.data) if use.name == "FILTER"}
    assert allowed == {
        "+0-9",
        r"+0-9\x2D.\x28\x29",
        r"+0-9\x20\x2D.\x28\x29",
        r"+a-z0-9=\x3B\x40.\x2D",
        r"+a-z0-9=<\x3B\x40.\x2D",
        r"\x20-\x7E\x80-\xFF",
        "0-9",
        "0-9a-z_",
        r"+0-9a-z\x2D/&",
        r"+a-z0-9=<\x3A\x3B\x40.\x2D\x2A\x23\x25_",
        r"A-Za-z0-9._\x2D",
        r"\x2D0-9",
        r"A-Za-z0-9%._~!*'\x2D",
        r"A-Za-z0-9:/\x2D",
        r"A-Za-z0-9\x20",
        r"a-z0-9\x2D",
        "A-Z",
        "a-z0-9",
        r"a-z0-9=<\x3B",
        r"a-z\x2D\x2C",
        "a-z_",
        "a-z_/",
        r"a-z0-9/&\x2D",
        "a-z",
    }


def test_no_argument_of_the_question_can_swallow_the_next_one() -> None:
    """Asterisk does not split arguments at commas within brackets or quotes, not even within a single opening one."""
    [(at, step)] = AGIS
    for argument in arguments_of(value_of(arguments_of(step.data)[1], at)):
        filters = [
            use.argument.partition(",")[0]
            for each in STEPS[:at]
            if set_name(each) == argument.removeprefix("${").removesuffix("}") and "rented-numbers" in each.context
            for use in uses(each.data)
            if use.name == "FILTER" and "LEN" not in use.inside
        ]
        assert filters, argument
        assert not [each for each in filters if re.search(r"[(\[\"']|x28|x5B|x22", each.replace("!*'", ""))], argument


def test_the_lease_is_read_when_the_peer_is_known_and_told_before_the_verdict() -> None:
    """LimitKeeper lowers the lease of a ringing call between two looks, which rely on this order.

    Dial() sets DIALEDPEERNAME before it runs U(). Only there is the lease read.
    """
    readers = {step.context for step in STEPS for use in uses(step.data) if use.name == SECONDS}
    assert readers == {"rented-numbers-answered"}
    names = [name for name, _ in dialplan.verdict(BRIDGE, POLICY)]
    assert names.index(SECONDS) < names.index(VERDICT)
    assert DIALED_PEER == "DIALEDPEERNAME"
    assert not [step for step in STEPS if set_name(step) == DIALED_PEER]


def test_every_jump_has_its_target() -> None:
    gosubs = [step.data.rpartition("?")[2].split(",") for step in STEPS if step.app == "GosubIf"]
    assert all(steps_of(context)[0].exten == exten for context, exten, _ in gosubs)
    for step in STEPS:
        if step.app in {"Goto", "GotoIf"}:
            *context, target = step.data.rpartition("?")[2].split(",")
            where = context[0] if context else step.context
            assert [s for s in STEPS if (s.context, s.label) == (where, target)], step.data


def test_the_headers_of_an_asserted_identity_are_long_enough_to_see_that_they_are_too_long() -> None:
    [length] = {each for step in STEPS for each in re.findall(r"Asserted-Identity,[12]\):0:([0-9]+)\}", step.data)}
    assert int(length) == LONGEST_HEADER + 1


def test_the_engine_can_send_a_call_on_to_the_step_after_its_attempt() -> None:
    [after] = [at for at, step in enumerate(STEPS) if (step.context, step.label) == (CONTEXT, LABEL)]
    assert (STEPS[after - 1].app, STEPS[after - 1].context) == ("Dial", CONTEXT)
    assert re.fullmatch(r"[+0-9].*", EXTENSION)  # as the extension's pattern _[+0-9]! demands
    assert TRIED in {set_name(step) for step in STEPS}


def test_the_dialplan_goes_on_after_the_answers_that_the_table_says() -> None:
    """Both orders of magnitude of a status, and no status at all."""
    [regex] = [
        each for step in STEPS for each in re.findall(r'REGEX\("(@final_answers@)" \$\{RN_STATUS\}\)', step.data)
    ]
    pattern = re.compile(render(regex, {"final_answers": final_answers_pattern()}))
    assert {status for status in range(300, 700) if pattern.search(str(status))} == {
        status for status in range(300, 700) if ends_search(status)
    }
    assert not pattern.search("")
    assert not ends_search(None)
    assert not FINAL_ANSWERS.keys() & NOT_FINAL.keys()
    assert not [status for status in NOT_FINAL if ends_search(status)]


def test_every_application_and_function_of_the_dialplan_has_its_module_loaded() -> None:
    loaded = {item.value.strip() for category in Parsed("own/modules.conf").categories for item in category.items}
    functions = {use.name for step in STEPS for use in uses(step.data) if use.argument or use.name in MODULES}
    functions |= {name.partition("(")[0] for step in STEPS if "(" in (name := set_name(step))}
    used = ({step.app for step in STEPS} | functions) - BUILT_IN
    assert used == set(MODULES)
    # Dial's U() and the hangup handler run through Gosub.
    assert {f"{module}.so" for module in MODULES.values()} <= loaded
    # An Asterisk that is there already is checked for the same ones.
    # The engine reads the state of trunks with func_devstate.
    assert set(NEEDED_MODULES) == {
        *(module for module in MODULES.values() if module not in VOICE_MODULES),
        *("app_exec", "app_playtones", "app_senddtmf", "chan_pjsip", "func_devstate"),
        *("res_pjsip_sips_contact", "res_pjsip_t38"),
    }
