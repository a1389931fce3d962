"""What callers hear: each sentence in each language, and whose recording they get."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.asterisk.config_files import ROOT
from engine.asterisk.prompts import RATE, SOUNDS, PromptSources
from engine.domain.prompts import Language, Prompt
from engine.domain.rejections import REJECTIONS, Reason
from phones import tone

SENTENCES = tomllib.loads((ROOT / "deploy/prompts/sentences.toml").read_text())


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.PUT_THROUGH])
def test_every_reason_to_refuse_a_call_is_said_in_every_language(reason: Reason) -> None:
    prompt = REJECTIONS[reason].prompt
    assert prompt is not None
    assert all(SENTENCES[prompt][language] for language in Language)


def test_no_sentence_is_missing_left_over_or_said_twice() -> None:
    assert {prompt: set(sentences) for prompt, sentences in SENTENCES.items()} == {
        each: set(Language) for each in Prompt
    }
    texts = [text for sentences in SENTENCES.values() for text in sentences.values()]
    assert len(set(texts)) == len(texts) == len(SOUNDS)


@pytest.fixture
def sources(tmp_path: Path) -> PromptSources:
    """All prompts are made, and the operator has a recording of one."""
    for sound in SOUNDS:
        path = tmp_path / "made" / f"{sound}.gsm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sound)
    (tmp_path / "own/nl").mkdir(parents=True)
    tone.write(tmp_path / "own/nl/paused.wav", 440, 0.1)
    return PromptSources(tmp_path / "made", tmp_path / "own")


def installed(sources: PromptSources, directory: Path) -> set[str]:
    sources.install(directory)
    return {str(path.relative_to(directory)) for path in directory.glob("*/*")}


def test_an_operators_recording_takes_the_place_of_a_prompt_and_gives_it_back(
    sources: PromptSources, tmp_path: Path
) -> None:
    """Never both: of two formats Asterisk plays the one that costs it less."""
    made = {f"{sound}.gsm" for sound in SOUNDS}
    assert installed(sources, tmp_path / "1") == made - {"nl/paused.gsm"} | {"nl/paused.wav"}
    (sources.own / "nl/paused.wav").unlink()
    assert installed(sources, tmp_path / "1") == made
    (sources.made / "fr/busy.gsm").unlink()
    assert sources.missing() == ["fr/busy"]
    assert installed(sources, tmp_path / "1") == made - {"fr/busy.gsm"}


@pytest.mark.parametrize(
    ("name", "write", "fault"),
    [
        ("nl/paused.wav", lambda path: None, None),
        ("nl/pauze.wav", lambda path: tone.write(path, 440, 0.1), "nl/pauze.wav has not the name"),
        ("es/busy.wav", lambda path: tone.write(path, 440, 0.1), "es/busy.wav has not the name"),
        ("de/busy.wav", lambda path: tone.write(path, 440, 0.1, rate=2 * RATE), "de/busy.wav is not 8 kHz"),
        ("de/busy.wav", lambda path: path.write_bytes(b"RIFF"), "de/busy.wav is not 8 kHz"),
    ],
)
def test_recordings_that_asterisk_would_not_play_are_named(
    sources: PromptSources, name: str, write: Callable[[Path], None], fault: str | None
) -> None:
    (sources.own / name).parent.mkdir(exist_ok=True)
    write(sources.own / name)
    faults = list(sources.unusable())
    assert faults == [] if fault is None else faults[0].startswith(fault)
