"""The dialplan agrees with the AGI scripts and has every option that closes a leak."""

import re

import pytest

from agi_scripts import dialplan
from engine.asterisk.config_files import TEMPLATES
from engine.domain.routing import ALL_SLOTS_HELD, BOOKING_EXPIRED, FORBIDDEN, UNKNOWN_NUMBER, Bridge
from tests.contract.samples import BOOKING, CALLER
from tests.unit.dialplan_text import AGIS, DIAL, STEPS, Parsed, arguments_of, position, set_name, uses

# AGI path → number of its script's arguments; the spool gets those of `ended` and reads the clock itself.
ARGUMENTS = {dialplan.ROUTE: 7, dialplan.ANSWERED: 3, dialplan.ENDED: 4, "@end_spool_script@": 4}
FROM_THE_ENGINE = {value for name, value in vars(dialplan).items() if name.isupper() and value.startswith("RN_")}
# Variables that a caller, a callee or the engine can write; Asterisk's own, such as DIALSTATUS, are not.
FROM_OUTSIDE = (FROM_THE_ENGINE - {dialplan.VERDICT}) | {
    "EXTEN",
    "CALLERID",
    "CHANNEL",
    "CUT",
    "PJSIP_HEADER",
    "PJSIP_HEADERS",
}
# Built into Asterisk's core: they need no module.
BUILT_IN = {"Set", "GotoIf", "Hangup", "Progress"}
MODULES = {
    "AGI": "res_agi",
    "Dial": "app_dial",
    "Playback": "app_playback",
    "Return": "app_stack",
    "CALLERID": "func_callerid",
    "CHANNEL": "func_channel",
    "CUT": "func_cut",
    "FILTER": "func_strings",
    "GLOBAL": "func_global",
    "GROUP": "func_groupcount",
    "GROUP_COUNT": "func_groupcount",
    "HANGUPCAUSE": "func_hangupcause",
    "HANGUPCAUSE_KEYS": "func_hangupcause",
    "IF": "func_logic",
    "LEN": "func_strings",
    "PJSIP_HEADER": "res_pjsip_header_funcs",
    "PJSIP_HEADERS": "res_pjsip_header_funcs",
    "REGEX": "func_strings",
    "SHA1": "func_sha1",
    "STRFTIME": "func_strings",
    "TIMEOUT": "func_timeout",
    "TOLOWER": "func_strings",
}


def test_every_agi_path_is_on_both_sides_with_its_arguments() -> None:
    called = {}
    for at, step in AGIS:
        url, given, *_ = arguments_of(step.data)
        called[url.rpartition("/")[2]] = len(arguments_of(value_of(given, at)))
    assert called == ARGUMENTS


def value_of(variable: str, at: int) -> str:
    """Returns the last assignments in the same context before step `at`."""
    name = variable.removeprefix("${").removesuffix("}")
    found = [step for step in STEPS[:at] if step.context == STEPS[at].context and set_name(step) == name]
    return found[-1].data.partition("=")[2]


def test_every_agi_request_ends_with_its_mac_and_no_token_is_an_argument() -> None:
    """In the text of an argument: Asterisk does not show what is between the brackets of SHA1."""
    asked = []
    for _, step in AGIS:
        url, *arguments = arguments_of(step.data)
        if url.startswith("agi://"):
            path, given = url.rpartition("/")[2], arguments[0]
            assert arguments[1:] == [f"${{SHA1(@agi_token@,${{UNIQUEID}},{path},{given})}}"]
            asked.append(path)
    assert asked == [dialplan.ROUTE, dialplan.ANSWERED, dialplan.ENDED]
    text = (TEMPLATES / "drop_in/extensions_rented_numbers.conf").read_text()
    assert text.count("@agi_token@") == text.count("SHA1(@agi_token@,") == len(asked)


def test_every_variable_that_the_engine_sets_is_read() -> None:
    read = {use.name for step in STEPS for use in uses(step.data)}
    assert read >= FROM_THE_ENGINE


def test_every_variable_that_is_read_is_set_by_the_engine_or_the_dialplan() -> None:
    read = {use.name for step in STEPS for use in uses(step.data) if use.name.startswith("RN_")}
    assert read - FROM_THE_ENGINE == {set_name(step) for step in STEPS if set_name(step) in read} - FROM_THE_ENGINE


@pytest.mark.parametrize(
    "decision", [Bridge(BOOKING, 60, 30, CALLER), UNKNOWN_NUMBER, BOOKING_EXPIRED, ALL_SLOTS_HELD, FORBIDDEN]
)
def test_the_verdict_is_known_to_the_dialplan_and_set_last(decision: Bridge) -> None:
    names = [name for name, _ in dialplan.verdict(decision, "custom/expired")]
    assert names[-1] == dialplan.VERDICT
    assert len(set(names)) == len(names)
    assert set(names) <= FROM_THE_ENGINE
    assert position("GotoIf", f'"${{RN_VERDICT}}" = "{dict(dialplan.verdict(decision, ""))["RN_VERDICT"]}"')


def test_without_a_verdict_from_the_engine_the_caller_gets_503() -> None:
    assert (STEPS[0].app, STEPS[0].data) == ("Set", "RN_VERDICT=")
    asked = position("AGI", "/route")
    after = [(step.app, step.data) for step in STEPS[asked + 1 : asked + 6]]
    assert after == [
        ("Set", "TIMEOUT(absolute)=0"),
        ("Set", "GROUP(rented-numbers)="),
        ("GotoIf", '$["${RN_VERDICT}" = "BRIDGE"]?bridge'),
        ("GotoIf", '$["${RN_VERDICT}" = "REJECT"]?reject'),
        ("Hangup", "42"),
    ]


def test_every_live_channel_gives_up_on_an_engine_that_hangs() -> None:
    """Both are needed: the time-out, and permission to end the AGI for it. The hangup handler's channel is not live."""
    for at, step in AGIS:
        if step.context == "rented-numbers-ended":
            continue
        before = [each.data for each in STEPS[:at] if each.context == step.context]
        assert before[-1] == "TIMEOUT(absolute)=@engine_seconds@"
        assert "AGIEXITONHANGUP=yes" in before
        assert [(s.app, s.data) for s in STEPS if (s.context, s.exten) == (step.context, "T")] == [("Hangup", "42")]


def test_a_calls_end_is_reported_whatever_happens_after_its_lease() -> None:
    assert position("Set", "hangup_handler_push)=rented-numbers-ended,s,1") < position("AGI", "/route")


def test_dial_has_every_option_that_closes_a_leak_and_allows_no_transfer() -> None:
    plain, _, gosub = DIAL[2].partition("U(")
    assert set("iIr") <= set(plain)
    assert not set("tTgG") & set(plain)
    assert gosub.startswith("rented-numbers-answered^${UNIQUEID}^")


def test_dial_uses_neither_the_dialled_number_nor_the_caller_id() -> None:
    assert not {use.name for part in DIAL for use in uses(part)} & {"EXTEN", "CALLERID", "RN_SERVICE", "RN_SOURCE"}
    assert "${EXTEN" not in "".join(step.data for step in STEPS if step.app in {"Dial", "AGI", "Playback", "Hangup"})


def test_only_the_way_to_dial_reads_the_hidden_number() -> None:
    readers = {set_name(s) or s.app for s in STEPS for use in uses(s.data) if use.name == dialplan.DESTINATION}
    assert readers == {"RN_DESTINATION", "RN_PHONE", "RN_DIAL"}


def test_outside_input_is_filtered_before_it_is_used() -> None:
    """Reading only its length, or comparing it in quotes with a word, is harmless."""
    filtered: set[str] = set()
    for step in STEPS:
        harmless = re.sub(r'"\$\{\w+\}"', "", step.data) if step.app == "GotoIf" else step.data
        for use in uses(harmless):
            safe = "FILTER" in use.inside or "LEN" in use.inside or use.name in filtered
            assert safe or use.name not in FROM_OUTSIDE, f"{use.name} in {step.data}"
        if "${FILTER(" in step.data:
            filtered.add(set_name(step))
    # The arguments of the callee's side were filtered where they were passed on.
    handed_over = "rented-numbers-answered^${UNIQUEID}^${FILTER(0-9,${RN_SECONDS})}^${FILTER(0-9a-z_,${RN_BOOKING})}"
    assert f"U({handed_over})" in DIAL[2]


def test_filters_remove_every_character_with_a_meaning_to_asterisk() -> None:
    allowed = {use.argument.split(",")[0] for step in STEPS for use in uses(step.data) if use.name == "FILTER"}
    assert allowed == {
        "+0-9",
        r"+0-9\x2D.\x28\x29",
        r"+0-9\x20\x2D.\x28\x29",
        r"+a-z0-9=\x3B\x40.\x28\x29\x2D",
        r"+a-z0-9=<\x3B\x40.\x28\x29\x2D",
        r"\x20-\x7E\x80-\xFF",
        "0-9",
        "0-9a-z_",
        r"\x2D0-9",
        "A-Z",
        "a-z0-9",
        r"a-z0-9=<\x3B",
        r"a-z\x2D\x2C",
        "a-z_",
        r"A-Za-z0-9/_\x2D",
    }


def test_no_call_talks_without_a_limit() -> None:
    """Either the engine confirms that it has set the limit, or the lease is the limit, or nobody talks.

    TIMEOUT(absolute)=0 means no limit, so that value and an empty one must have been refused before.
    """
    asked = position("AGI", "/answered")
    assert "RN_LIMIT=" in [step.data for step in STEPS[:asked] if step.context == "rented-numbers-answered"]
    assert [(step.label, step.app, step.data) for step in STEPS[asked + 1 : asked + 7]] == [
        ("", "GotoIf", '$["${RN_LIMIT}" = "set"]?done'),
        ("", "GotoIf", '$["${RN_LIMIT}" = "none"]?over'),
        ("", "GotoIf", '$["${ARG2}" = "" | "${ARG2}" = "0"]?over'),
        ("", "Set", "TIMEOUT(absolute)=${ARG2}"),
        ("done", "Return", ""),
        ("over", "Hangup", "16"),
    ]


@pytest.mark.parametrize(
    ("left_ms", "variables"),
    [
        (60_000, [("TIMEOUT(absolute)", "60.000"), ("RN_LIMIT", "set")]),
        (59_007, [("TIMEOUT(absolute)", "59.007"), ("RN_LIMIT", "set")]),
        (1, [("TIMEOUT(absolute)", "0.001"), ("RN_LIMIT", "set")]),
        (0, [("RN_LIMIT", "none")]),
        (-1, [("RN_LIMIT", "none")]),
    ],
)
def test_a_limit_is_never_zero(left_ms: int, variables: list[tuple[str, str]]) -> None:
    assert dialplan.talk_limit(left_ms) == variables


def test_an_end_that_the_engine_did_not_settle_is_spooled_with_the_same_arguments() -> None:
    asked = position("AGI", "/ended")
    assert (STEPS[asked - 1].app, STEPS[asked - 1].data) == ("Set", "RN_SETTLED=")
    assert (STEPS[asked + 1].app, STEPS[asked + 1].data) == ("GotoIf", '$["${RN_SETTLED}" = "yes"]?done')
    assert (STEPS[asked + 2].app, STEPS[asked + 3].label) == ("AGI", "done")
    assert arguments_of(STEPS[asked + 2].data) == ["@end_spool_script@", arguments_of(STEPS[asked].data)[1]]


def test_every_jump_has_its_target() -> None:
    for step in STEPS:
        if step.app == "GotoIf":
            target = step.data.rpartition("?")[2]
            assert [s for s in STEPS if (s.context, s.label) == (step.context, target)], step.data


def test_every_application_and_function_of_the_dialplan_has_its_module_loaded() -> None:
    loaded = {item.value.strip() for category in Parsed("own/modules.conf").categories for item in category.items}
    functions = {use.name for step in STEPS for use in uses(step.data) if use.argument or use.name in MODULES}
    functions |= {name.partition("(")[0] for step in STEPS if "(" in (name := set_name(step))}
    used = ({step.app for step in STEPS} | functions) - BUILT_IN
    assert used == set(MODULES)
    # Dial's U() and the hangup handler run through Gosub.
    assert {f"{module}.so" for module in MODULES.values()} <= loaded


def test_the_answer_and_the_end_are_reported_with_the_time_in_utc() -> None:
    """In local time one hour occurs twice each autumn."""
    for words in ("RN_ASK", "RN_END"):
        reported = [step.data for step in STEPS if set_name(step) == words][-1]
        assert arguments_of(reported)[-1] == "${STRFTIME(,UTC,%Y%m%d%H%M%S%3q)}"


@pytest.mark.parametrize(
    ("text", "now"),
    [
        ("20260301120000250", 1_772_366_400_250),
        ("19700101000000000", 0),
        ("20260301120000", None),
        ("20261301120000250", None),
        ("2026030112000025x", None),
        ("٢٠٢٦٠٣٠١١٢٠٠٠٠٢٥٠", None),
        ("", None),
    ],
)
def test_a_wall_clock_reading_is_utc_to_the_millisecond_or_none(text: str, now: int | None) -> None:
    assert dialplan.wall_clock(text) == now
