"""Bad settings on the command line are named, and never their values; and what `asterisk-config` writes."""

from pathlib import Path

import pytest

from engine.settings import CONFIG_FILE
from tests.integration.test_cli import Cli

# What somebody put into the wrong setting.
VALUE = "hunter2-in-the-wrong-place"
DROP_INS = ["extensions_rented_numbers.conf", "manager_rented_numbers.conf", "pjsip_rented_numbers.conf"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_port", VALUE),
        ("sip_host", VALUE),
        ("carrier_addresses", f'["{VALUE}"]'),
        ("carrier_addresses", VALUE),
        ("trunk_uri", VALUE),
        ("grace", VALUE),
        ("plans", f'{{"SMALL": "{VALUE}"}}'),
        ("plans", f"{{{VALUE}"),
    ],
)
def test_a_bad_setting_is_named_without_its_value(cli: Cli, name: str, value: str) -> None:
    said = cli.refused("accounts", "create", "ann", **{name: value})
    assert name in said
    assert VALUE not in said
    assert not cli.data.exists()


def test_every_bad_setting_is_named_at_once(cli: Cli) -> None:
    said = cli.refused("setup", http_port="x", sip_port="y")
    assert [line.split(":")[1] for line in said.splitlines()] == [" setting http_port", " setting sip_port"]


@pytest.mark.parametrize("text", [f"http_port = '{VALUE}'", f"{VALUE} = 1", f"http_port = [{VALUE}"])
def test_a_bad_file_of_settings_is_refused_without_its_values(cli: Cli, text: str) -> None:
    (cli.directory / CONFIG_FILE).write_text(text)
    said = cli.refused("setup")
    # An unknown name is the setting, not a value.
    assert VALUE not in said or text.startswith(VALUE)


def test_asterisk_config_writes_the_drop_ins_and_says_how_to_include_them(cli: Cli) -> None:
    done = cli("asterisk-config", "etc", ami_user="us", carrier_addresses='["192.0.2.1"]')
    assert (done.returncode, done.stderr) == (0, "")
    written = sorted((cli.directory / "etc").iterdir())
    assert [path.name for path in written] == DROP_INS
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    assert [line.rpartition("#tryinclude ")[2] for line in done.stdout.splitlines()] == [
        f'"{name}"  to {name.replace("_rented_numbers", "")}' for name in DROP_INS
    ]
    secret = (cli.data / "secrets" / "ami_secret").read_text().strip()
    assert f"[us]\nsecret = {secret}\n" in written[1].read_text()
    assert secret not in done.stdout
    assert "match = 192.0.2.1/32" in written[2].read_text()


def test_asterisk_config_keeps_the_secret_that_is_there(cli: Cli) -> None:
    cli("setup")
    before = (cli.data / "secrets" / "ami_secret").read_text()
    cli("asterisk-config", "etc")
    cli("asterisk-config", "etc")
    assert before.strip() in (cli.directory / "etc" / DROP_INS[1]).read_text()


def test_wrong_usage_is_told_apart_from_a_refusal(cli: Cli) -> None:
    assert cli("no-such-command").returncode == 2
    assert cli("numbers", "import").returncode == 2
