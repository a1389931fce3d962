"""What can be done with the secret of the manager's user, tried on a real Asterisk: each of its actions (F8)."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.asterisk.ami_link import EXCESSIVE_ACTIONS, REQUIRED_ACTIONS
from engine.asterisk.config_files import AMI_USER
from engine.config import secrets
from tests.e2e.system import System

DENIED = "Permission denied"
NOBODY = "PJSIP/nobody-00000001"
# What an action needs to be taken seriously, and yet to do nothing if it is allowed.
ARGUMENTS = {
    "WaitEvent": {"Timeout": "1"},
    "Command": {"Command": "core show version"},
    "Originate": {"Channel": "Local/1@nowhere", "Application": "Hangup"},
    "Setvar": {"Variable": "RN_TRIED", "Value": "1"},
    "Getvar": {"Variable": "RN_TRIED"},
    "Redirect": {"Channel": NOBODY, "Context": "nowhere", "Exten": "1", "Priority": "1"},
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
FOR_MOST = {"Channel": NOBODY, "Channel1": NOBODY, "Channel2": NOBODY, "Timeout": "1"}

# Asterisk lets everybody who has logged in do these, whatever the rights: no setting takes them away.
EVERYBODY_S = {
    *("Challenge", "Events", "ListCommands", "Login", "Logoff", "Ping", "WaitEvent"),
    *("BridgeDestroy", "BridgeInfo", "BridgeKick", "BridgeList"),
    *("BridgeTechnologyList", "BridgeTechnologySuspend", "BridgeTechnologyUnsuspend"),
}
# What comes with the class `call`, the only one that has Hangup and AbsoluteTimeout and not much more. Asterisk knows
# nothing narrower: there are filters for events, none for actions.
OF_CLASS_CALL = {
    *("AbsoluteTimeout", "Hangup", "PJSIPHangup", "Status"),
    *("Atxfer", "BlindTransfer", "Bridge", "CancelAtxfer", "LocalOptimizeAway", "Redirect"),
    *("ExtensionState", "ExtensionStateList", "Getvar", "MailboxCount", "MailboxStatus", "PresenceState"),
    *("SendText", "Setvar"),
}


class Session:
    """A connection to the manager interface that has logged in."""

    def __init__(self, system: System, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")
        assert self._file.readline().startswith(b"Asterisk Call Manager")
        kept = secrets.load(system.data_dir / "secrets")
        self.greeting = self.ask("Login", Username=AMI_USER, Secret=kept.ami_secret, Events="off")

    def ask(self, action: str, **fields: str) -> str:
        """The first message that comes."""
        lines = [f"{name}: {value}" for name, value in {"Action": action, **fields}.items()]
        self._file.write("\r\n".join([*lines, "", ""]).encode())
        self._file.flush()
        return self.read()

    def read(self) -> str:
        message = b""
        while not message.endswith(b"\r\n\r\n") and (line := self._file.readline()):
            message += line
        return message.decode()


@contextmanager
def session(system: System, source: str = "127.0.0.1") -> Iterator[Session]:
    address = ("127.0.0.1", system.settings.ami_port)
    with socket.create_connection(address, timeout=5, source_address=(source, 0)) as connection:
        yield Session(system, connection)


def actions(system: System) -> list[str]:
    """All that this Asterisk has."""
    shown = system.asterisk_console("manager show commands")
    return re.findall(r"^  ([A-Z]\w+) ", shown, re.MULTILINE)[1:]


def test_every_action_of_asterisk_is_refused_but_those_that_come_with_ending_calls(system: System) -> None:
    every = actions(system)
    assert len(every) > 60
    allowed = set()
    for action in every:
        with session(system) as talking:
            assert "Authentication accepted" in talking.greeting
            if DENIED not in talking.ask(action, **(ARGUMENTS.get(action) or FOR_MOST)):
                allowed.add(action)
    assert allowed == EVERYBODY_S | OF_CLASS_CALL
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


def test_what_the_engine_takes_for_its_rights_is_what_asterisk_lists(system: System) -> None:
    with session(system) as talking:
        listed = set(re.findall(r"^(\w+): .*\(Priv: ", talking.ask("ListCommands"), re.MULTILINE))
    assert listed == EVERYBODY_S | OF_CLASS_CALL


def test_no_event_is_shown_to_the_manager_s_user_whatever_it_asks_for(system: System) -> None:
    with session(system) as talking:
        talking.ask("Events", EventMask="on")
        for value in "123":
            # Who may read the class `dialplan` hears of it by an event, VarSet.
            assert "Event:" not in talking.ask("Setvar", Variable="RN_TRIED", Value=value)
            assert "Event:" not in talking.ask("Ping")
            time.sleep(0.05)


def test_the_right_secret_from_another_address_is_refused(system: System) -> None:
    with session(system, source="127.0.0.2") as talking:
        assert "Authentication failed" in talking.greeting


@pytest.mark.parametrize("function", ["SHELL(id)", "FILE(/etc/passwd)", "ENV(PATH)", "SYSTEM(id)"])
def test_variables_reach_neither_the_shell_nor_files(system: System, function: str) -> None:
    with session(system) as talking:
        answer = talking.ask("Getvar", Variable=function)
        assert "Response: Error" in answer or answer.endswith("Value: \r\n\r\n")
