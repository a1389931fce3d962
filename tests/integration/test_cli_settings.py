"""Bad settings on the command line are named, and never their values; and what `asterisk-config` writes."""

import os
from pathlib import Path

import pytest

from engine.config.sources import CONFIG_FILE
from tests.integration.cli_runner import Cli, CliInProcess

# What somebody put into the wrong setting.
VALUE = "hunter2-in-the-wrong-place"
DROP_INS = [f"{name}_rented_numbers.conf" for name in ("extensions", "features", "manager", "pjsip")]


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
    assert sorted(line.split(":")[1] for line in said.splitlines()) == [" setting http_port", " setting sip_port"]


@pytest.mark.parametrize("text", [f"http_port = '{VALUE}'", f"{VALUE} = 1", f"http_port = [{VALUE}"])
def test_a_bad_file_of_settings_is_refused_without_its_values(cli: Cli, text: str) -> None:
    (cli.directory / CONFIG_FILE).write_text(text)
    said = cli.refused("setup")
    # An unknown name is the setting, not a value.
    assert VALUE not in said or text.startswith(VALUE)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("http_prot = 1", "did you mean http_port in rented-numbers.toml?"),
        ("zork = 1", "docs/configuration.md lists all settings"),
        (
            "sweep_interval = 5",
            "sweep_interval in rented-numbers.toml is no longer a setting: its value is fixed (10 s)",
        ),
        ("[plans.tiny]\nseconds = 1", "the plans are small, medium, large"),
        ("[plans.small]\nminutes = 1", "a plan has seconds, calls, valid_for"),
        ("grace = '10s'", "for example 10, PT10S or P7D"),
    ],
)
def test_a_bad_file_of_settings_is_refused_with_what_may_have_been_meant(cli: Cli, text: str, hint: str) -> None:
    (cli.directory / CONFIG_FILE).write_text(text)
    assert hint in cli.refused("setup")


@pytest.fixture
def etc(cli: Cli) -> Path:
    """Of an Asterisk that is already there."""
    cli("setup")
    etc = cli.directory / "etc"
    etc.mkdir()
    (etc / "extensions.conf").write_text("")
    return etc


def test_asterisk_config_writes_the_drop_ins_and_says_how_to_include_them(cli: Cli, etc: Path) -> None:
    done = cli("asterisk-config", "etc", carrier_addresses='["192.0.2.1"]')
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in etc.iterdir()) == sorted([*DROP_INS, "extensions.conf"])
    assert {(etc / name).stat().st_mode & 0o777 for name in DROP_INS} == {0o640}
    includes = [line.rpartition("#tryinclude ")[2] for line in done.stdout.splitlines() if "#tryinclude" in line]
    assert includes == [f'"{name}"  to {name.replace("_rented_numbers", "")}' for name in DROP_INS]
    for word in ("enabled = yes", "transport", "JOURNAL_DIR", str(cli.data / "journal"), "core restart"):
        assert word in done.stdout
    secret = (cli.data / "secrets" / "ami_secret").read_text().strip()
    assert f"[rented-numbers]\nsecret = {secret}\n" in (etc / DROP_INS[2]).read_text()
    assert secret not in done.stdout
    assert "match = 192.0.2.1/32" in (etc / DROP_INS[3]).read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_drop_ins_are_for_whoever_has_asterisks_own_files(cli: Cli, etc: Path) -> None:
    os.chown(etc / "extensions.conf", 12345, 23456)
    cli("asterisk-config", "etc")
    for name in DROP_INS:
        status = (etc / name).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o007) == (12345, 23456, 0), name


def test_asterisk_config_makes_no_directory(cli: Cli, etc: Path) -> None:
    assert "nowhere is not a directory" in cli.refused("asterisk-config", "nowhere")
    assert not (etc.parent / "nowhere").exists()


def test_asterisk_config_keeps_the_secret_that_is_there(cli: Cli, etc: Path) -> None:
    before = (cli.data / "secrets" / "ami_secret").read_text()
    cli("asterisk-config", "etc")
    cli("asterisk-config", "etc")
    assert before.strip() in (etc / DROP_INS[2]).read_text()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"http_port": "8080", "ami_port": "8080"}, "settings: http_port and ami_port are both 8080"),
        ({"metrics_address": "127.0.0.1:8080"}, "settings: http_port and metrics_address are both 8080"),
        ({"sip_port": "10500"}, "settings: sip_port 10500 is between rtp_start and rtp_end"),
        ({"rtp_end": "10001"}, "settings: rtp_end must be at least 10 greater than rtp_start"),
        ({"htp_port": "8081"}, "RENTED_NUMBERS_HTP_PORT is not a setting: did you mean RENTED_NUMBERS_HTTP_PORT?"),
        ({"colour": "red"}, "RENTED_NUMBERS_COLOUR is not a setting: docs/configuration.md lists all settings"),
        (
            {"callback_workers": "8"},
            "RENTED_NUMBERS_CALLBACK_WORKERS is no longer a setting: its value is fixed (16), so remove it",
        ),
        (
            {"test_tuning": '{"sweep": 1}'},
            "RENTED_NUMBERS_TEST_TUNING is for tests only and cannot be used: sweep: Extra",
        ),
        (
            {"carrier_addresses": "192.0.2.10"},
            'setting carrier_addresses: must be a JSON list; for example ["192.0.2.10"',
        ),
        (
            {"trunk_uri": "carrier"},
            "setting trunk_uri: is not in the form that is needed; for example sip:sbc.carrier.example:5060",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_explained_in_one_line(cli: Cli, settings: dict[str, str], complaint: str) -> None:
    said = cli.refused("setup", **settings)
    assert said.startswith(f"rented-numbers: {complaint}")
    assert len(said.splitlines()) == 1
    assert "^" not in said


def test_wrong_usage_is_told_apart_from_a_refusal(cli: Cli) -> None:
    assert cli("no-such-command").returncode == 2
    assert cli("numbers", "import").returncode == 2


def test_each_of_several_asterisks_is_given_a_token_of_its_own_and_keeps_it(cli: Cli, etc: Path) -> None:
    """None of them is ever printed."""
    done = [cli("asterisk-config", "etc", *name) for name in ((), ("--name", "brussels"), ("--name", "brussels"))]
    assert [each.returncode for each in done] == [0, 0, 0]
    says = ["start the engine again: it does not know the token of brussels yet" in each.stdout for each in done]
    assert says == [False, True, False]
    first, second = ((cli.data / "secrets" / name).read_text().strip() for name in ("agi_token", "agi_token.brussels"))
    assert (etc / DROP_INS[0]).read_text().count(f"SHA1({second},") == 3
    assert not {first, second} & set("".join(each.stdout + each.stderr for each in done).split())
    assert "no name for an Asterisk" in cli.refused("asterisk-config", "etc", "--name", "../x")


def test_an_engine_from_before_there_were_tokens_says_what_to_do_and_setup_does_it(cli: Cli, etc: Path) -> None:
    (cli.data / "secrets" / "agi_token").unlink()
    assert "agi_token is missing: `rented-numbers setup` makes it" in cli.refused("asterisk-config", "etc")
    assert cli("setup").returncode == 0
    assert cli("asterisk-config", "etc").returncode == 0


TRUNK = '[{"name": "main", "uri": "sip:192.0.2.9", "username": "u"}, {"name": "open", "uri": "sip:192.0.2.8"}]'


def test_a_carriers_password_is_stored_from_standard_input(tmp_path: Path) -> None:
    cli = CliInProcess(tmp_path)
    cli.set_up()
    cli.typed = "p;w 1\n"
    done = cli("trunks", "password", "main", trunks=TRUNK, sip_host="192.0.2.1")
    assert (done.returncode, done.stdout) == (0, "stored the password of trunk main\n")
    stored = cli.data / "secrets" / "trunk_password.main"
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == ("p;w 1\n", 0o600)


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("other", "x\n", "there is no trunk other; there is main, open"),
        ("open", "x\n", "trunk open has no username, so its carrier asks for no password"),
        ("main", "\n", "the password is empty"),
        ("main", " secret-of-mine\n", "a space at one of its ends"),
    ],
)
def test_a_password_that_no_carrier_gave_is_refused_and_not_shown(
    tmp_path: Path, name: str, typed: str, message: str
) -> None:
    cli = CliInProcess(tmp_path)
    cli.set_up()
    cli.typed = typed
    refused = cli.refused("trunks", "password", name, trunks=TRUNK, sip_host="192.0.2.1")
    assert message in refused
    assert "secret-of-mine" not in refused
    assert not list((cli.data / "secrets").glob("trunk_password.*"))


def test_a_start_without_a_carriers_password_says_how_to_store_it(tmp_path: Path) -> None:
    cli = CliInProcess(tmp_path)
    cli.set_up()
    (tmp_path / "etc").mkdir()
    refused = cli.refused("asterisk-config", "etc", trunks=TRUNK, manage_asterisk="false")
    assert "trunk_password.main is missing: `rented-numbers trunks password main` writes it" in refused


def test_a_misspelt_field_of_a_trunk_is_named(tmp_path: Path) -> None:
    cli = CliInProcess(tmp_path)
    (tmp_path / "rented-numbers.toml").write_text('[[trunks]]\nname = "a"\nuri = "sip:192.0.2.9"\nusrname = "u"\n')
    assert "trunks.0.usrname: there is no such setting; did you mean username?" in cli.refused("doctor")


def test_kamailio_config_writes_the_files_and_says_what_is_missing(cli: Cli) -> None:
    cli.set_up()
    assert "set RENTED_NUMBERS_KAMAILIO_HOST" in cli.refused("kamailio-config", "k")
    done = cli("kamailio-config", "k", kamailio_host="192.0.2.5", nodes='["192.0.2.21:5060"]')
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (cli.directory / "k").iterdir()}
    assert written == {"kamailio.cfg", "dispatcher.list", "address.list"}
    assert all(name in done.stdout for name in written)
