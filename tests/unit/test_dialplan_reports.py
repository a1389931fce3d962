"""The dialplan's reports of answers and ends have the fields that the engine reads, in their order."""

import pytest

from engine.asterisk import ami_connection
from engine.asterisk.call_variables import BRIDGE, VERDICT
from engine.asterisk.config_files import TEMPLATES
from engine.calls import reports
from engine.calls.reports import AnswerReport, EndReport, ReportReader
from engine.domain.call_ends import DialplanEnd
from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.runtime.authentication import mac_of
from tests.unit.dialplan_text import (
    REPORT_WITH_MAC,
    STEPS,
    position,
    set_name,
    steps_of,
    value_of,
)

# A SIP Call-ID as the dialplan writes it: what percent-encoding leaves as it is, without brackets.
SIP_CALL_ID = r"${FILTER(A-Za-z0-9%._~!*'\x2D,${URIENCODE(${CHANNEL(pjsip,call-id):0:128})})}"
# What stands for each field of a report in the dialplan, in the order in which ReportReader reads them.
REPORTED = {
    "rented-numbers-answered": [
        "answered",
        "${ARG2}",
        "${ARG3}",
        "${UNIQUEID}",
        "${RN_SECONDS}",
        "${STRFTIME(,UTC,%Y%m%d%H%M%S%3q)}",
        SIP_CALL_ID,
    ],
    "rented-numbers-ended": [
        reports.ENDED,
        "${UNIQUEID}",
        "${FILTER(0-9a-z_,${RN_BOOKING})}",
        r"${FILTER(\x2D0-9,${ANSWEREDTIME_MS})}",
        "${FILTER(A-Z,${DIALSTATUS})}",
        "${STRFTIME(,UTC,%Y%m%d%H%M%S%3q)}",
        r"${FILTER(a-z0-9\x2D,${RN_TRUNK})}",
        r"${FILTER(A-Za-z0-9:/\x2D,${RN_TRIED}):-300}",
        "${RN_HUNGUP}",
        "${FILTER(0-9,${HANGUPCAUSE})}",
        "${FILTER(0-9,${RINGTIME_MS})}",
        "${FILTER(0-9,${PROGRESSTIME_MS})}",
    ],
}
CLOCK, NOON = "20260301120000250", EpochMs(1_772_366_400_250)


@pytest.mark.parametrize("context", REPORTED)
def test_a_report_has_its_fields_in_the_order_in_which_the_engine_reads_them(context: str) -> None:
    """The time is UTC: in local time one hour occurs twice each autumn."""
    report = next(step.data.partition("=")[2] for step in steps_of(context) if set_name(step) == "RN_REPORT")
    assert report.split(" ") == REPORTED[context]
    # UserEvent() takes the text after a comma for another header. No field may have one, not even from a filter.
    assert r"\x2C" not in report


@pytest.mark.parametrize(
    ("context", "values", "expected"),
    [
        (
            "rented-numbers-answered",
            ["rn0-1.1", "bkg_1", "rn0-1.2", "60", CLOCK, "1%40host"],
            AnswerReport(CallId("rn0-1.1"), BookingId("bkg_1"), "rn0-1.2", 60, NOON, "1@host"),
        ),
        (
            "rented-numbers-ended",
            ["rn0-1.1", "bkg_1", "-250", "ANSWER", CLOCK, "main", "", "callee", "16", "1200", "900"],
            EndReport(
                CallId("rn0-1.1"), BookingId("bkg_1"), -250, DialplanEnd("ANSWER", "main", (), "callee", 16), NOON, 900
            ),
        ),
        (
            "rented-numbers-ended",
            ["rn0-1.1", "", "", "", CLOCK, "", "", "", "", "", ""],
            EndReport(CallId("rn0-1.1"), BookingId(""), 0, DialplanEnd(""), NOON),
        ),
    ],
)
def test_the_engine_reads_what_the_dialplan_writes(
    context: str, values: list[str], expected: AnswerReport | EndReport
) -> None:
    template = REPORTED[context]
    given = dict(zip(template[1:], values, strict=True))
    text = " ".join(given.get(part, part) for part in template)
    assert ReportReader(["a-token"]).read(f"{text} {mac_of('a-token', text)}") == expected


def test_the_mac_covers_the_whole_report_and_the_event_is_ours() -> None:
    events = [step for step in STEPS if step.app == "UserEvent"]
    assert [(step.context, step.data) for step in events] == [
        ("rented-numbers-answered", f"RentedNumbers,Report: {REPORT_WITH_MAC}"),
        ("rented-numbers-ended", "RentedNumbers,Report: ${RN_REPORT}"),
    ]
    assert value_of("RN_REPORT", STEPS.index(events[1])) == REPORT_WITH_MAC
    assert ami_connection._OURS == b"\r\nUserEvent: RentedNumbers\r\n"
    assert "eventfilter = UserEvent: RentedNumbers" in (TEMPLATES / "drop_in/manager_rented_numbers.conf").read_text()


def test_the_end_is_appended_to_the_spool_as_one_line_before_the_event_is_sent() -> None:
    """The engine may read the spool as soon as it has the event."""
    written = position("Set", "FILE(@end_spool@,,,al,u)=${RN_REPORT}")
    assert STEPS[written + 1].app == "UserEvent"
    assert [step for step in STEPS if "FILE(" in step.data] == [STEPS[written]]


def test_only_a_call_that_may_have_been_bridged_is_reported_at_its_end() -> None:
    first, *_, last = steps_of("rented-numbers-ended")
    assert (first.app, first.data) == ("GotoIf", f'$["${{{VERDICT}}}" != "{BRIDGE}"]?done')
    assert (last.label, last.app) == ("done", "Return")


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
    assert reports.wall_clock(text) == now
