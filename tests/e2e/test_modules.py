"""Every module of the Asterisk in use is either loaded, or left out for a reason that its operator can read.

Two are loaded with the page /phone only: tests/e2e/test_browser_phone_server.py.
"""

import re

from engine.asterisk.config_files import ROOT, TEMPLATES, find_program
from engine.asterisk.exposures import UNWANTED_MODULES
from tests.e2e.system import System

CONFIGURED = (TEMPLATES / "own" / "modules.conf").read_text()
LOADED = re.findall(r"^load = (\w+)\.so$", CONFIGURED, re.MULTILINE)
WITH_PAGE = re.findall(
    r"^load = (\w+)\.so$", (TEMPLATES / "own" / "modules_browser_phones.conf").read_text(), re.MULTILINE
)
GROUP = re.compile(r"^; Left out: (.+)\n((?:;   .+\n)+)", re.MULTILINE)
LEFT_OUT = {reason: lines.replace(";", "").split() for reason, lines in GROUP.findall(CONFIGURED)}


def test_every_module_is_loaded_or_left_out_for_one_reason() -> None:
    named = LOADED + WITH_PAGE + [module for modules in LEFT_OUT.values() for module in modules]
    assert sorted(named) == sorted(set(named))
    assert {path.stem for path in find_program().modules.glob("*.so")} == set(named)


def test_the_guide_says_what_is_left_out_and_why() -> None:
    guide = (ROOT / "docs" / "asterisk.md").read_text()
    rows = re.findall(r"^\| ([^|`]+) \| (`.+`[^|]*) \| .+ \|$", guide, re.MULTILINE)
    assert [reason for reason, _ in rows] == list(LEFT_OUT)
    for reason, examples in rows:
        assert set(re.findall(r"`(\w+)`", examples)) <= set(LEFT_OUT[reason]), reason


def test_an_existing_asterisk_is_warned_of_modules_that_ours_leaves_out() -> None:
    assert set(UNWANTED_MODULES) <= {module for modules in LEFT_OUT.values() for module in modules}


def running_modules(system: System) -> list[str]:
    return sorted(re.findall(r"^(\w+)\.so .* Running ", system.asterisk_console("module show"), re.MULTILINE))


def test_the_running_asterisk_has_these_modules_and_no_others(system: System) -> None:
    assert running_modules(system) == sorted(LOADED)
