"""Secrets on the disk: created once, readable by their owner only; weak ones are refused."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from engine.config import secrets
from engine.config.secrets import InsecureSecrets, Secrets, trunk_password, write_trunk_password

LOADED = [field.name for field in fields(Secrets)]
NAMES = [*LOADED, "kamailio_key"]
STRONG = "Zx81Qk-7rTnb_W3mLp9Ydv0c"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    secrets.ensure(directory)
    return directory


def values(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_every_secret_is_created_readable_by_its_owner_only(made: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in made.iterdir()} == dict.fromkeys(NAMES, 0o600)


def test_created_secrets_are_named(tmp_path: Path) -> None:
    assert secrets.ensure(tmp_path) == NAMES
    (tmp_path / NAMES[1]).unlink()
    assert secrets.ensure(tmp_path) == [NAMES[1]]
    assert secrets.ensure(tmp_path) == []


def test_a_missing_pepper_is_created_only_before_there_is_a_database(made: Path) -> None:
    (made / "key_pepper").unlink()
    secrets.refuse_lost_pepper(made, None)
    with pytest.raises(InsecureSecrets, match="every API key in the database"):
        secrets.refuse_lost_pepper(made, "the database")


def test_no_two_secrets_are_the_same(made: Path, tmp_path: Path) -> None:
    secrets.ensure(tmp_path / "another")
    assert len({*values(made).values(), *values(tmp_path / "another").values()}) == 2 * len(NAMES)


def test_created_secrets_can_be_loaded(made: Path) -> None:
    loaded = secrets.load(made)
    written = values(made)
    assert {name: getattr(loaded, name) + "\n" for name in LOADED} == {name: written[name] for name in LOADED}


def test_each_run_replaces_the_passwords_that_a_browser_gets_and_no_other_secret(made: Path) -> None:
    before = values(made)
    assert secrets.renew(made, secrets.OF_ONE_RUN) == secrets.load(made)
    after = values(made)
    assert {name for name in NAMES if before[name] != after[name]} == set(secrets.OF_ONE_RUN)


def test_an_existing_secret_is_never_overwritten(made: Path) -> None:
    (made / NAMES[0]).write_text("mine")
    (made / NAMES[1]).write_text("")
    (made / NAMES[2]).unlink()
    before = values(made)
    secrets.ensure(made)
    assert values(made) | before == values(made)
    assert len(values(made)[NAMES[2]]) > secrets.MIN_LENGTH


def test_leftovers_of_a_killed_first_run_are_replaced(made: Path) -> None:
    (made / NAMES[0]).rename(made / f".{NAMES[0]}.partial")
    secrets.ensure(made)
    assert sorted(values(made)) == sorted(NAMES)
    assert set(values(made).values()) >= {f"{getattr(secrets.load(made), name)}\n" for name in LOADED}


def test_repr_shows_no_secret(made: Path) -> None:
    loaded = secrets.load(made)
    assert not any(value.strip() in f"{loaded!r} {loaded}" for value in values(made).values())


@pytest.mark.parametrize("name", LOADED)
def test_a_missing_secret_is_named(made: Path, name: str) -> None:
    (made / name).unlink()
    with pytest.raises(InsecureSecrets, match=f"{name} is missing"):
        secrets.load(made)


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o601, 0o644])
def test_a_secret_that_others_can_reach_is_refused(made: Path, mode: int) -> None:
    (made / NAMES[0]).chmod(mode)
    with pytest.raises(InsecureSecrets, match="read by others"):
        secrets.load(made)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *[(value, "default or too weak") for value in (b"", b"\n", STRONG[:-1].encode(), b"a" * 40)],
        *[(value, "default or too weak") for value in (b"abababcabababcabababcabababc", b"changeme")],
        (b"Zx81Qk-7rTnb-ChangeMe-9Ydv0c", "default or too weak"),
        (b"rented-numbers-Zx81Qk7rTnbW3m", "default or too weak"),
        (b"my-ASTERISK-server-2026-01-01", "default or too weak"),
        # These characters would break out of their line in Asterisk's files.
        *[(f"{STRONG}{each}{STRONG}".encode(), "may only have") for each in ("\n", ";", " ", '"', "\0", "]", "=")],
        (b"\xff" * 32, "cannot be read"),
        (f"{STRONG}é".encode(), "may only have letters"),
    ],
)
def test_a_weak_or_malformed_secret_is_refused_without_repeating_it(made: Path, value: bytes, reason: str) -> None:
    (made / NAMES[0]).write_bytes(value)
    with pytest.raises(InsecureSecrets, match=reason) as refused:
        secrets.load(made)
    text = value.decode(errors="replace").strip()
    assert not text or text not in str(refused.value)


def test_a_directory_in_place_of_a_secret_is_refused(made: Path) -> None:
    (made / NAMES[0]).unlink()
    (made / NAMES[0]).mkdir(mode=0o700)
    with pytest.raises(InsecureSecrets, match=re.escape(NAMES[0])):
        secrets.load(made)


def test_a_strong_secret_of_the_operators_own_is_accepted(made: Path) -> None:
    (made / NAMES[0]).write_text(f"{STRONG}\n")
    assert getattr(secrets.load(made), NAMES[0]) == STRONG


def test_setup_adds_a_token_to_an_older_data_directory(made: Path) -> None:
    """The engine does not start without it and explains what to do."""
    before = values(made)
    (made / "agi_token").unlink()
    with pytest.raises(InsecureSecrets, match="agi_token is missing: `rented-numbers setup` makes it"):
        secrets.load(made)
    assert secrets.ensure(made) == ["agi_token"]
    assert {name for name, value in values(made).items() if value != before[name]} == {"agi_token"}


def test_each_further_asterisk_gets_its_own_token_once(made: Path) -> None:
    first, is_new = secrets.agi_token_of(made, "brussels-2")
    assert is_new
    assert secrets.agi_token_of(made, "brussels-2") == (first, False)
    assert secrets.agi_token_of(made, None) == (secrets.load(made).agi_token, False)
    assert secrets.agi_tokens(made) == [secrets.load(made).agi_token, first]
    assert (made / "agi_token.brussels-2").stat().st_mode & 0o777 == 0o600


def test_a_removed_token_is_no_longer_loaded(made: Path) -> None:
    secrets.agi_token_of(made, "brussels-2")
    (made / "agi_token.brussels-2").unlink()
    assert secrets.agi_tokens(made) == [secrets.load(made).agi_token]


@pytest.mark.parametrize("name", ["", "../agi_token", "a/b", "A", "a.b", "a\n", "-a", "a" * 32, "é"])
def test_an_asterisk_name_that_would_be_another_file_is_refused(made: Path, name: str) -> None:
    with pytest.raises(InsecureSecrets, match="no name for an Asterisk"):
        secrets.agi_token_of(made, name)
    assert sorted(values(made)) == sorted(NAMES)


def test_the_same_rules_apply_to_every_further_token(made: Path) -> None:
    secrets.agi_token_of(made, "other")
    (made / "agi_token.other").chmod(0o644)
    with pytest.raises(InsecureSecrets, match="read by others"):
        secrets.agi_tokens(made)


@pytest.mark.parametrize("password", ["x", 'p w;\\;--d,"#[$%', "é" * 64, "a" * 128])
def test_a_carriers_password_is_kept_as_it_is_in_a_file_for_its_owner(tmp_path: Path, password: str) -> None:
    write_trunk_password(tmp_path / "secrets", "main", password)
    assert trunk_password(tmp_path / "secrets", "main") == password
    assert (tmp_path / "secrets" / "trunk_password.main").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("password", ["", " x", "x ", "two\nlines", "a\tb", "\0", "a" * 129, "é" * 65])
def test_a_carriers_password_that_would_be_cut_in_asterisks_files_is_refused(tmp_path: Path, password: str) -> None:
    for use in (lambda: write_trunk_password(tmp_path, "main", password), lambda: trunk_password(tmp_path, "main")):
        with pytest.raises(InsecureSecrets) as refused:
            use()
        assert len(password) < 5 or password not in str(refused.value)
        (tmp_path / "trunk_password.main").write_text(f"{password}\n")
        (tmp_path / "trunk_password.main").chmod(0o600)


def test_a_carriers_password_that_is_missing_or_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InsecureSecrets, match="is missing: `rented-numbers trunks password main` writes it"):
        trunk_password(tmp_path, "main")
    write_trunk_password(tmp_path, "main", "x")
    (tmp_path / "trunk_password.main").chmod(0o640)
    with pytest.raises(InsecureSecrets, match="can be read by others"):
        trunk_password(tmp_path, "main")
