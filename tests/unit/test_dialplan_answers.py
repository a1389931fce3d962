"""What the dialplan does when the callee answers: the limit, and before it perhaps an announcement and a key."""

from dataclasses import replace

import pytest

from agi_scripts import dialplan
from engine.asterisk.call_variables import BEEP, SECONDS, VERDICT
from engine.domain.booking import Booking
from engine.domain.directions import Direction
from engine.domain.prompts import Language
from engine.domain.routing import Bridge
from engine.domain.screening import Screening
from tests.contract.samples import BOOKING, CALLER, HIDDEN, POLICY
from tests.unit.dialplan_text import REPORT_WITH_MAC, set_name, steps_of

NOT_YET = ("RN_TAKEN", "no")
ANNOUNCED = replace(BOOKING, whisper=True, screening=Screening.PRESS1)


@pytest.mark.parametrize(
    ("booking", "speaks", "announced"),
    [
        (BOOKING, True, []),
        (replace(BOOKING, whisper=True), True, [("RN_ANNOUNCE", "-en/whisper"), NOT_YET]),
        (ANNOUNCED, True, [("RN_ANNOUNCE", "1-en/whisper&en/press1"), NOT_YET]),
        (replace(ANNOUNCED, language=Language.NL), True, [("RN_ANNOUNCE", "1-nl/whisper&nl/press1"), NOT_YET]),
        # The operator has switched the prompts off since the booking was made: the key is still demanded.
        (ANNOUNCED, False, [("RN_ANNOUNCE", "1-"), NOT_YET]),
        (replace(BOOKING, whisper=True), False, []),
        (replace(BOOKING, greeting=True), True, [("RN_GREETING", "en")]),
        (replace(BOOKING, greeting=True, language=Language.NL), True, [("RN_GREETING", "nl")]),
        (replace(BOOKING, greeting=True), False, []),
        (replace(BOOKING, beep=True), False, [("__DYNAMIC_FEATURES", BEEP)]),
    ],
)
def test_only_a_call_in_which_something_is_heard_has_more_variables(
    booking: Booking, speaks: bool, announced: list[tuple[str, str]]
) -> None:
    forward = Bridge(booking, HIDDEN, 60, 30, CALLER)
    told = dialplan.verdict(forward, replace(POLICY, speaks=speaks))
    assert told[6:] == [*announced, (VERDICT, "BRIDGE")]
    # Who is called back has no hidden number, and hears the beep.
    back = replace(forward, direction=Direction.REVERSE)
    beep = [each for each in announced if each[1] == BEEP]
    assert dialplan.verdict(back, replace(POLICY, speaks=speaks))[6:] == [*beep, (VERDICT, "BRIDGE")]


def test_no_call_talks_without_a_limit() -> None:
    """The bridge is denied first and allowed last, so that whatever ends the Gosub before denies it.

    TIMEOUT(absolute)=0 means no limit, so that value and an empty one must have been refused before. No Hangup: Dial()
    bridges after it for a moment.
    """
    steps = [step for step in steps_of("rented-numbers-answered") if set_name(step) != "RN_REPORT"]
    assert [(step.label, step.app, step.data) for step in steps[:8]] == [
        ("", "Set", "GOSUB_RESULT=CONTINUE"),
        ("", "GotoIf", '$["${ARG4}" != ""]?announced'),
        ("connect", "Set", f"{SECONDS}=${{FILTER(0-9,${{IMPORT(${{ARG1}},{SECONDS})}})}}"),
        ("", "GotoIf", f"$[0${{{SECONDS}}} = 0]?over"),
        ("", "Set", f"TIMEOUT(absolute)=${{{SECONDS}}}"),
        ("", "UserEvent", f"RentedNumbers,Report: {REPORT_WITH_MAC}"),
        ("", "Set", "GOSUB_RESULT="),
        ("over", "Return", ""),
    ]
    # An announced call has a limit, too. Only the right key leads to the connection, after a look for the caller.
    announced = [(step.label, step.app, step.data) for step in steps[8:]]
    assert announced[0] == ("announced", "Set", "TIMEOUT(absolute)=20")
    heard = next(at for at, (label, _, _) in enumerate(announced) if label == "heard")
    assert announced[heard:] == [
        ("heard", "GotoIf", '$["${IMPORT(${ARG1},CHANNEL(hangupsource))}" != ""]?over'),
        ("", "GotoIf", '$["${RN_PRESSED}" = "${RN_KEY}"]?taken'),
        ("", "GotoIf", '$["${RN_PRESSED}" = "" & "${RN_REST}" != ""]?next'),
        ("", "GotoIf", '$["${RN_ASKED}" != "11"]?ask'),
        ("", "Set", "MASTER_CHANNEL(RN_TAKEN)=refused"),
        ("", "Return", ""),
        ("taken", "Set", "MASTER_CHANNEL(RN_TAKEN)=yes"),
        ("", "Goto", "connect"),
    ]
    assert not [each for each in announced[:heard] if each[2] in {"taken", "connect"}]
