"""The search for hidden numbers in files finds every number that is there."""

from pathlib import Path

import pytest

from tests.e2e import canary
from tests.e2e.system import System


@pytest.mark.parametrize(
    "place", ["engine.log", "asterisk/log/messages", "journal/x.json", "asterisk/spool/tmp/y", "z"]
)
@pytest.mark.parametrize("spelling", ["+33199001234", "0033199001234", "33199001234", "0199001234", "x199001234y"])
def test_the_search_finds_a_number_in_every_spelling_and_place(tmp_path: Path, place: str, spelling: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"\xff\x00before" + spelling.encode() + b"after\n")
    (tmp_path / canary.DATABASE).write_text("+33199001234")
    (tmp_path / "another").write_text("+33199001235")
    assert canary.found_in_files(tmp_path, ["+33199001234"]) == {place: ["+33199001234"]}


def test_stopping_a_system_fails_if_a_file_holds_a_hidden_number() -> None:
    system = System()
    system.hidden.add("+33199001234")
    (system.data_dir / "asterisk").mkdir()
    (system.data_dir / "asterisk" / "notes").write_text("dialling 0033199001234")
    with pytest.raises(AssertionError, match="asterisk/notes"):
        system.stop()
    assert not system.data_dir.exists()
