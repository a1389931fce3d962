"""What the engine's manager user may do and see: every action of a real Asterisk is tried (F8)."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.asterisk.ami_link import EXCESSIVE_ACTIONS, REQUIRED_ACTIONS
from engine.asterisk.config_files import AMI_USER
from engine.asterisk.console import ASTERISK_VARIABLES
from engine.config import secrets
from tests.e2e.calls import Caller
from tests.e2e.system import System

DENIED = "Permission denied"
NO_CHANNEL = "PJSIP/none-00000001"
# Arguments that make an action valid, but without effect if it is allowed.
ARGUMENTS = {
    "WaitEvent": {"Timeout": "1"},
    "Command": {"Command": "core show version"},
    "Originate": {"Channel": "Local/1@nowhere", "Application": "Hangup"},
    "Setvar": {"Variable": "RN_TRIED", "Value": "1"},
    "Getvar": {"Variable": "RN_TRIED"},
    "Redirect": {"Channel": NO_CHANNEL, "Context": "nowhere", "Exten": "1", "Priority": "1"},
    "UpdateConfig": {"SrcFilename": "nothing.conf", "DstFilename": "nothing.conf"},
    "GetConfig": {"Filename": "manager.conf"},
    "GetConfigJSON": {"Filename": "manager.conf"},
    "ModuleLoad": {"LoadType": "load", "Module": "nothing"},
    "Reload": {"Module": "nothing"},
    "DBPut": {"Family": "rn", "Key": "tried", "Val": "1"},
    "DBGet": {"Family": "rn", "Key": "tried"},
    "UserEvent": {"UserEvent": "Tried"},
    "Filter": {"Operation": "Add", "Filter": "Event: Nothing"},
    "BridgeDestroy": {"BridgeUniqueid": "nothing"},
    "BridgeTechnologySuspend": {"BridgeTechnology": "nothing"},
    "BridgeTechnologyUnsuspend": {"BridgeTechnology": "nothing"},
}
FOR_MOST = {"Channel": NO_CHANNEL, "Channel1": NO_CHANNEL, "Channel2": NO_CHANNEL, "Timeout": "1"}

# Asterisk allows these to every user who has logged in. No setting removes them.
ALWAYS_ALLOWED = {
    *("Challenge", "Events", "ListCommands", "Login", "Logoff", "Ping", "WaitEvent"),
    *("BridgeDestroy", "BridgeInfo", "BridgeKick", "BridgeList"),
    *("BridgeTechnologyList", "BridgeTechnologySuspend", "BridgeTechnologyUnsuspend"),
}
# The actions of class `call`, the smallest class with Hangup and AbsoluteTimeout. Asterisk has filters for events, but
# none for actions.
OF_CLASS_CALL = {
    *("AbsoluteTimeout", "Hangup", "PJSIPHangup", "Status"),
    *("Atxfer", "BlindTransfer", "Bridge", "CancelAtxfer", "LocalOptimizeAway", "Redirect"),
    *("ExtensionState", "ExtensionStateList", "Getvar", "MailboxCount", "MailboxStatus", "PresenceState"),
    # Two of app_senddtmf, which the beep before a call's end needs.
    *("PlayDTMF", "SendFlash"),
    *("SendText", "Setvar"),
}


class Session:
    """A connection to the manager interface that has logged in."""

    def __init__(
        self, system: System, connection: socket.socket, events: str = "off", user: str = AMI_USER, secret: str = ""
    ) -> None:
        self._file = connection.makefile("rwb")
        assert self._file.readline().startswith(b"Asterisk Call Manager")
        kept = secrets.load(system.data_dir / "secrets")
        self.greeting = self.ask("Login", Username=user, Secret=secret or kept.ami_secret, Events=events)

    def ask(self, action: str, **fields: str) -> str:
        """Sends an action and returns the first message that comes back."""
        lines = [f"{name}: {value}" for name, value in {"Action": action, **fields}.items()]
        self._file.write("\r\n".join([*lines, "", ""]).encode())
        self._file.flush()
        return self.read()

    def read(self) -> str:
        message = b""
        while not message.endswith(b"\r\n\r\n") and (line := self._file.readline()):
            message += line
        return message.decode()

    def events(self) -> list[str]:
        """Every message that has come until the answer to a ping."""
        seen: list[str] = []
        while "Ping: Pong" not in (message := self.ask("Ping") if not seen else self.read()):
            seen.append(message)
        return seen


@contextmanager
def session(
    system: System, source: str = "127.0.0.1", events: str = "off", user: str = AMI_USER, secret: str = ""
) -> Iterator[Session]:
    address = ("127.0.0.1", system.settings.ami_port)
    with socket.create_connection(address, timeout=5, source_address=(source, 0)) as connection:
        yield Session(system, connection, events, user, secret)


def actions(system: System) -> list[str]:
    """The names of all actions of this Asterisk."""
    shown = system.asterisk_console("manager show commands")
    return re.findall(r"^  ([A-Z]\w+) ", shown, re.MULTILINE)[1:]


def test_every_action_is_refused_except_those_of_class_call_and_those_always_allowed(system: System) -> None:
    every = actions(system)
    assert len(every) > 60
    allowed = set()
    for action in every:
        with session(system) as talking:
            assert "Authentication accepted" in talking.greeting
            if DENIED not in talking.ask(action, **(ARGUMENTS.get(action) or FOR_MOST)):
                allowed.add(action)
    assert allowed == ALWAYS_ALLOWED | OF_CLASS_CALL
    forbidden = {"Command", "Originate", "UpdateConfig", "GetConfig", "ModuleLoad", "DBPut", "UserEvent", "Filter"}
    forbidden |= {
        "AGI",
        "ShowDialPlan",
        "PJSIPShowAuths",
        "MessageSend",
        "Reload",
        "DialplanExtensionAdd",
        *EXCESSIVE_ACTIONS,
    }
    assert forbidden <= set(every)
    assert not forbidden & allowed
    assert set(REQUIRED_ACTIONS) <= allowed
    print(f"F8 {len(every)} actions tried: {len(allowed)} allowed, forbidden ones allowed 0")  # noqa: T201


def test_asterisk_lists_exactly_the_allowed_actions(system: System) -> None:
    with session(system) as talking:
        listed = set(re.findall(r"^(\w+): .*\(Priv: ", talking.ask("ListCommands"), re.MULTILINE))
    assert listed == ALWAYS_ALLOWED | OF_CLASS_CALL


OTHER_USER = """
[another]
secret = another-secret
read = all
write = all
"""


class SharedAsterisk(System):
    """A system whose Asterisk has another user of the manager interface, who may do and see everything."""

    def alter(self, etc: Path) -> None:
        with (etc / "manager.conf").open("a") as users:
            users.write(OTHER_USER)


def test_the_manager_user_gets_only_our_events_whatever_it_requests() -> None:
    with (
        SharedAsterisk() as system,
        session(system, events="on") as ours,
        session(system, events="on", user="another", secret="another-secret") as another,
    ):
        assert "Response: Success" in ours.ask("Events", EventMask="on")
        booked, caller = system.book("LARGE"), Caller(system)
        with caller.hidden():
            assert caller.call(booked.service, "uac_hangs_up", talk=300).status == 200
        booked.wait_settled()
        # Each of the two can be mistaken for one of ours by a careless filter.
        for name in ("Tried", "Tried RentedNumbers"):
            another.ask("UserEvent", UserEvent=name, Report="answered 1 2 3", More="RentedNumbers")
        theirs, seen = another.events(), ours.events()
    kinds = {line for message in theirs for line in message.splitlines() if line.startswith("Event: ")}
    assert {"Event: Newchannel", "Event: DialBegin", "Event: Hangup", "Event: UserEvent"} <= kinds
    assert len(seen) == 2, seen
    assert all("UserEvent: RentedNumbers\r\n" in message for message in seen)
    answered, ended = (re.findall(r"^Report: (.*)\r$", message, re.MULTILINE)[0] for message in seen)
    assert answered.startswith("answered ")
    assert ended.startswith("ended ")
    # The reports themselves say neither who called nor who was called.
    assert booked.destination[-9:] not in answered + ended


def test_nobody_but_the_dialplan_can_send_our_events(system: System) -> None:
    with session(system) as talking:
        assert DENIED in talking.ask("UserEvent", UserEvent="RentedNumbers", Report="ended 1 2 3 4 5 6")


def test_the_right_secret_from_another_address_is_refused(system: System) -> None:
    with session(system, source="127.0.0.2") as talking:
        assert "Authentication failed" in talking.greeting


@pytest.mark.parametrize("function", ["SHELL(id)", "FILE(/etc/passwd)", "STAT(s,/etc/passwd)", "SYSTEM(id)"])
def test_variables_reach_neither_the_shell_nor_files(system: System, function: str) -> None:
    with session(system) as talking:
        answer = talking.ask("Getvar", Variable=function)
        assert "Response: Error" in answer or answer.endswith("Value: \r\n\r\n")


def test_asterisks_environment_which_can_be_read_holds_nothing_of_the_engines(system: System) -> None:
    """Asterisk lets everybody read it who can read variables, whatever `live_dangerously` says."""
    names = {entry.partition("=")[0] for entry in Path(f"/proc/{system.asterisk_pid}/environ").read_text().split("\0")}
    assert names - {"", "PWD"} <= set(ASTERISK_VARIABLES)
    with session(system) as talking:
        assert "PATH)\r\nValue: /" in talking.ask("Getvar", Variable="ENV(PATH)")
        answer = talking.ask("Getvar", Variable="ENV(RENTED_NUMBERS_DATA_DIR)")
        assert answer.endswith("Value: \r\n\r\n")


def test_no_variable_that_is_set_writes_a_file_runs_a_program_or_changes_asterisk(
    system: System, caller: Caller
) -> None:
    """The dialplan writes the end spool with FILE(). The manager's user cannot, because `live_dangerously` is off."""
    spool, tried = system.settings.journal / "ends", system.data_dir / "tried"
    booked = system.book("LARGE")
    with caller.hidden("uas_no_answer"), caller.dialling(booked.service, "uac_cancel", keys={"ring": 4000}) as callers:
        system.until(lambda: any(m.status == 180 for m in callers.messages()), "it rings")
        [call] = system.command("calls", "live", "--json")
        before = spool.read_text() if spool.exists() else ""
        with session(system) as talking:
            for channel in ({}, {"Channel": call["call"]}):
                for function in (f"FILE({tried})", f"FILE({spool},,,al,u)", f"SHELL(touch {tried})", "DB(rn/tried)"):
                    talking.ask("Setvar", Variable=function, Value="1", **channel)
                    talking.ask("Setvar", Variable="RN_TRIED", Value=f"${{{function}}}", **channel)
                    talking.ask("Getvar", Variable=f"EVAL(${{{function}}})", **channel)
            assert talking.ask("Getvar", Variable="DB(rn/tried)").endswith("Value: \r\n\r\n")
        assert (spool.read_text() if spool.exists() else "") == before
        callers.wait()
    assert not tried.exists()
    assert system.asterisk_console("database show rn").endswith("0 results found.\n")
    booked.wait_settled()
