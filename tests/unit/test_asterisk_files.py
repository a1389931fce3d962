"""Asterisk's generated files: no placeholder is left, others cannot read them, no value breaks its line."""

import json
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from asterisk.config import Config
from pydantic import ValidationError

from engine.asterisk.config_files import (
    MAX_RUN_PATH,
    TEMPLATES,
    AsteriskHome,
    AsteriskMissing,
    AsteriskProgram,
    find_program,
    render,
    write_own,
)
from engine.asterisk.drop_ins import write_drop_ins
from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.config.tuning import TUNING_VARIABLE
from tests.unit.test_settings import alone

__all__ = ["alone"]  # a fixture

KEPT = Secrets(**{field.name: f"value-of-{field.name}-0123456789" for field in fields(Secrets)})
DROP_INS = [f"{name}_rented_numbers.conf" for name in ("extensions", "features", "manager", "pjsip")]


class Parsed(Config):  # type: ignore[misc]  # pyst2 carries no types
    """pyst2's parser, which does not support templates, includes and escaped semicolons."""

    def load(self) -> None:
        text = Path(self.filename).read_text().replace("\\;", "%3B")
        lines = [re.sub(r"^(\[[^]]+\])\(.*\)$", r"\1", line) for line in text.splitlines()]
        self.raw_lines = [line for line in lines if not line.startswith("#")]


def options(path: Path, section: str) -> dict[str, str]:
    """Returns the options of the first section of that name."""
    category = next(each for each in Parsed(str(path)).categories if each.name == section)
    return {item.name: item.value.strip().replace("%3B", ";") for item in category.items}


@pytest.fixture
def program(tmp_path: Path) -> AsteriskProgram:
    varlib = tmp_path / "program" / "varlib"
    varlib.mkdir(parents=True)
    (varlib / "phoneprov").write_text("")
    return AsteriskProgram(("asterisk",), tmp_path / "program", tmp_path / "program", varlib, "22")


def own(program: AsteriskProgram, **changes: Any) -> AsteriskHome:
    return write_own(Settings(**changes), KEPT, program)


def drop_ins(directory: Path, **changes: Any) -> dict[str, str]:
    directory.mkdir(exist_ok=True)
    return {path.name: path.read_text() for path in write_drop_ins(Settings(**changes), KEPT, directory)}


def test_a_placeholder_without_a_value_is_an_error() -> None:
    assert render("a = @known@ ${X}@trunk:", {"known": 1}) == "a = 1 ${X}@trunk:"
    with pytest.raises(KeyError, match="unknown"):
        render("a = @unknown@", {"known": 1})


@pytest.mark.parametrize("profile", ["demo", "production"])
def test_no_placeholder_is_left_in_any_file(program: AsteriskProgram, tmp_path: Path, profile: str) -> None:
    texts = {path.name: path.read_text() for path in own(program, profile=profile).etc.iterdir()}
    assert set(texts) > {path.name for folder in ("own", "drop_in") for path in (TEMPLATES / folder).iterdir()}
    texts |= drop_ins(tmp_path / "out", profile=profile)
    assert not [name for name, text in texts.items() if re.search(r"@[a-z_]+@", text)]


def test_only_the_owner_can_read_the_files_of_our_own_asterisk(program: AsteriskProgram) -> None:
    home = own(program)
    assert home.base.stat().st_mode & 0o777 == 0o700
    templates = {path.name for path in TEMPLATES.glob("*/*.conf")}
    written = [path for path in home.etc.iterdir() if path.name in templates]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def test_a_secret_is_written_only_to_the_file_that_needs_it(program: AsteriskProgram) -> None:
    texts = {path.name: path.read_text() for path in own(program, profile="demo").etc.iterdir()}
    where = {name: {file for file, text in texts.items() if value in text} for name, value in vars_of(KEPT).items()}
    assert where == {
        "agi_token": {"extensions_rented_numbers.conf"},
        "ami_secret": {"manager_rented_numbers.conf"},
        "key_pepper": set(),
        "softphone1_password": {"pjsip_softphones.conf"},
        "softphone2_password": {"pjsip_softphones.conf"},
        "browser_caller_password": {"pjsip_browser_phones.conf"},
        "browser_hidden_password": {"pjsip_browser_phones.conf"},
    }


def vars_of(kept: Secrets) -> dict[str, str]:
    return {field.name: getattr(kept, field.name) for field in fields(Secrets)}


def test_drop_ins_are_four_files_that_our_own_asterisk_includes_too(tmp_path: Path) -> None:
    assert sorted(drop_ins(tmp_path / "out")) == DROP_INS
    for name in DROP_INS:
        main = (TEMPLATES / "own" / name.replace("_rented_numbers", "")).read_text()
        assert f'#include "{name}"' in main


@pytest.mark.parametrize(("host", "bind"), [("127.0.0.1", "127.0.0.1:5060"), ("::1", "[::1]:5060")])
def test_sip_and_rtp_leave_from_the_configured_address(program: AsteriskProgram, host: str, bind: str) -> None:
    etc = own(program, sip_host=host).etc
    assert options(etc / "pjsip_plain.conf", "udp")["bind"] == options(etc / "pjsip_plain.conf", "tcp")["bind"] == bind
    assert options(etc / "pjsip_rented_numbers.conf", "rented-numbers")["media_address"] == host


# Options that close leaks, and those that bound the cost of a lost BYE.
LEAK_TABLE = {
    "direct_media": "no",
    "allow_transfer": "no",
    "redirect_method": "user",
    "send_pai": "no",
    "send_rpid": "no",
    "send_diversion": "no",
    "send_history_info": "no",
    "send_connected_line": "no",
    "trust_id_inbound": "no",
    "trust_connected_line": "no",
    "rtp_timeout": "30",
    "rtp_timeout_hold": "1800",
}


def test_both_sides_of_a_call_have_every_option_that_closes_a_leak(program: AsteriskProgram) -> None:
    path = own(program, profile="demo").etc / "pjsip_rented_numbers.conf"
    common = options(path, "rented-numbers")
    assert {name: common.get(name) for name in LEAK_TABLE} == LEAK_TABLE
    text = path.read_text() + (path.parent / "pjsip_softphones.conf").read_text()
    assert {"[carrier-main](rented-numbers)", "[trunk-main](rented-numbers)", "[softphone](!,rented-numbers)"} <= set(
        text.splitlines()
    )
    for side in ("carrier-main", "trunk-main"):
        assert not set(options(path, side)) & set(LEAK_TABLE)


def test_unknown_sources_and_calls_from_the_trunk_reach_no_dialplan(program: AsteriskProgram) -> None:
    etc = own(program, profile="demo").etc
    text = "".join(path.read_text() for path in etc.glob("pjsip*.conf"))
    assert "[anonymous]" not in text
    nowhere = options(etc / "pjsip_rented_numbers.conf", "trunk-main")["context"]
    assert f"[{nowhere}]" not in "".join(path.read_text() for path in etc.glob("extensions*.conf"))


def test_asterisk_records_no_hidden_number(program: AsteriskProgram) -> None:
    etc = own(program).etc
    assert options(etc / "cdr.conf", "general") == {"enable": "no"}
    assert not re.search("verbose|debug|dtmf|[*]", options(etc / "logger.conf", "logfiles")["messages"])
    assert options(etc / "asterisk.conf", "options")["verbose"] == "0"
    assert "load = cdr_" not in (etc / "modules.conf").read_text()


@pytest.mark.parametrize("ending", ["\nx = y", "\rx", ";comment", " x", "]", "\0", ",x", "}", "%a\nx = y", "\u2028"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ami_host", "127.0.0.1"),
        ("fastagi_host", "127.0.0.1"),
        ("sip_host", "127.0.0.1"),
        ("sip_host", "fe80::1"),
        ("trunk_uri", "sip:192.0.2.1"),
        ("carrier_addresses", "192.0.2.1"),
        ("carrier_addresses", "fe80::1"),
    ],
)
def test_a_setting_that_would_break_out_of_its_line_is_refused(name: str, value: str, ending: str) -> None:
    good, bad = (value, value + ending) if name != "carrier_addresses" else ([value], [value + ending])
    Settings.model_validate({name: good})
    with pytest.raises(ValidationError):
        Settings.model_validate({name: bad})


@pytest.mark.parametrize("name", ["a;b", "a\nb"])
def test_a_directory_that_would_break_out_of_its_line_is_refused(program: AsteriskProgram, name: str) -> None:
    with pytest.raises(AsteriskMissing, match="cannot stand in Asterisk's files"):
        own(program, data_dir=Path(name))


def test_only_a_path_too_long_for_asterisks_socket_is_refused(program: AsteriskProgram, tmp_path: Path) -> None:
    room = MAX_RUN_PATH - len(str(tmp_path / "x/asterisk/run"))
    own(program, data_dir=tmp_path / ("x" * (room + 1)))
    with pytest.raises(AsteriskMissing, match="too long a path"):
        own(program, data_dir=tmp_path / ("x" * (room + 2)))


def test_the_system_name_in_call_ids_is_created_once_per_data_directory(program: AsteriskProgram) -> None:
    name = options(own(program).config, "options")["systemname"]
    assert options(own(program).config, "options")["systemname"] == name
    assert options(own(program, data_dir=Path("2")).config, "options")["systemname"] != name


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"command": []}', '{"command": ["x"]}'])
def test_without_a_usable_asterisk_the_error_explains_how_to_install_one(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "asterisk.json").write_text(content)
    with pytest.raises(AsteriskMissing, match=r"deploy/tools.sh asterisk"):
        find_program(tmp_path)


def test_asterisks_own_paths_are_inside_the_tools_directory(tmp_path: Path) -> None:
    names = {"modules_dir": "m", "data_dir": "d", "varlib_dir": "v", "version": "22"}
    (tmp_path / "asterisk.json").write_text(json.dumps({"command": ["bin/asterisk", "-x"], **names}))
    found = find_program(tmp_path)
    assert found.command == (str(tmp_path / "bin/asterisk"), "-x")
    assert (found.modules, found.data, found.varlib) == (tmp_path / "m", tmp_path / "d", tmp_path / "v")


def most_undecided(program: AsteriskProgram) -> str:
    text = (own(program).etc / "extensions_rented_numbers.conf").read_text()
    # Both contexts in which a call can begin, and the question about a PIN.
    [most, *same] = re.findall(r"GROUP_COUNT\(undecided@rented-numbers\)} >= (\d+)]", text)
    assert same == [most, most]
    return str(most)


def test_the_limit_of_pending_calls_is_configured_or_follows_from_the_cores(
    program: AsteriskProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert most_undecided(program) == "48"
    monkeypatch.setenv(TUNING_VARIABLE, '{"max_undecided_calls": 7}')
    assert most_undecided(program) == "7"


def test_questions_for_a_pin_and_prompts_share_the_calls_that_may_hear_something(program: AsteriskProgram) -> None:
    for ports, speaking, asking in ((1000, "25", "25"), (220, "6", "5"), (11, "1", "1")):
        text = (
            own(program, rtp_start=10_000, rtp_end=10_000 + ports - 1).etc / "extensions_rented_numbers.conf"
        ).read_text()
        assert re.findall(r"GROUP_COUNT\((\w+)@rented-numbers\)} > (\d+)]", text) == [
            ("asking", asking),
            ("speaking", speaking),
        ]


def test_some_rtp_ports_are_reserved_for_refused_calls(program: AsteriskProgram) -> None:
    home = own(program, rtp_start=10_000, rtp_end=10_099)
    most = int(options(home.config, "options")["maxcalls"])
    assert (most, 100 - 4 * most) == (20, 20)
