"""Reports as the dialplan makes them: lines with a MAC, events of the manager interface, and the end spool."""

import datetime as dt
from pathlib import Path

from engine.calls.end_spool import CURRENT
from engine.runtime.authentication import mac_of
from tests.contract.samples import START

TOKEN = "a-token-of-these-tests-Zx81Qk"


def with_mac(text: str, token: str = TOKEN) -> str:
    """The report with its MAC."""
    return f"{text} {mac_of(token, text)}"


def answered(
    call_id: str, booking_id: str, callee: str, limit: int | str, now: int | str = START, token: str = TOKEN
) -> str:
    return with_mac(f"answered {call_id} {booking_id} {callee} {limit} {wall(now)}", token)


def ended(
    call_id: str,
    booking_id: str,
    answered_ms: int | str = "",
    dial_status: str = "ANSWER",
    now: int | str = START,
    token: str = TOKEN,
) -> str:
    return with_mac(f"ended {call_id} {booking_id} {answered_ms} {dial_status} {wall(now)}", token)


def wall(now: int | str) -> str:
    """Epoch milliseconds as STRFTIME(,UTC,%Y%m%d%H%M%S%3q) writes them; a text as it is."""
    if isinstance(now, str):
        return now
    moment = dt.datetime.fromtimestamp(now // 1000, dt.UTC)
    return f"{moment:%Y%m%d%H%M%S}{now % 1000:03}"


def user_event(report: str, name: str = "RentedNumbers") -> bytes:
    """An event as Asterisk 22 sends it: the channel's snapshot first, then what the dialplan gave."""
    return (
        "Event: UserEvent\r\nPrivilege: user,all\r\nChannel: PJSIP/trunk-00000002\r\nChannelState: 6\r\n"
        "ChannelStateDesc: Up\r\nCallerIDNum: <unknown>\r\nCallerIDName: <unknown>\r\nConnectedLineNum: <unknown>\r\n"
        "ConnectedLineName: <unknown>\r\nLanguage: en\r\nAccountCode: \r\nContext: rented-numbers-answered\r\n"
        "Exten: s\r\nPriority: 7\r\nUniqueid: rn0-1772366400.2\r\nLinkedid: rn0-1772366400.1\r\n"
        f"UserEvent: {name}\r\nReport: {report}\r\n\r\n"
    ).encode()


def spool(directory: Path, *reports: str) -> None:
    """Appends reports to the end spool, as FILE() does."""
    directory.mkdir(exist_ok=True)
    with (directory / CURRENT).open("a") as file:
        file.writelines(f"{report}\n" for report in reports)
