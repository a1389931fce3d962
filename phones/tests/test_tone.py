"""A generated tone is detected, and no other sound is taken for it."""

import random
import struct
import wave
from pathlib import Path

import pytest

from phones import tone


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sound.wav"


def write_samples(path: Path, samples: list[int], *, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(tone.RATE)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))


@pytest.mark.parametrize("hz", [440, 620, 1000])
def test_a_tone_is_found_for_as_long_as_it_lasts(file: Path, hz: int) -> None:
    tone.write(file, hz, 1.5)
    assert tone.duration(file) == 1.5
    assert tone.seconds_of(file, hz) == pytest.approx(1.5)


def test_another_tone_is_not_found(file: Path) -> None:
    tone.write(file, 440, 1)
    assert tone.seconds_of(file, 620) == 0


def test_silence_has_no_tone(file: Path) -> None:
    tone.write(file, 0, 1)
    assert tone.duration(file) == 1
    assert tone.seconds_of(file, 440) == 0


def test_an_inaudible_tone_is_not_found(file: Path) -> None:
    tone.write(file, 440, 1, level=0.01)
    assert tone.seconds_of(file, 440) == 0
    assert tone.seconds_of(file, 440, floor=0.001) == pytest.approx(1)


def test_noise_has_no_tone(file: Path) -> None:
    noise = random.Random(1)
    write_samples(file, [noise.randrange(-20_000, 20_000) for _ in range(tone.RATE)])
    assert tone.seconds_of(file, 440) == 0


def test_a_tone_in_part_of_a_recording_has_the_duration_of_that_part(file: Path, tmp_path: Path) -> None:
    for name, hz in (("first", 440), ("second", 620)):
        tone.write(tmp_path / name, hz, 0.5)
    write_samples(file, tone.read(tmp_path / "first")[0] + tone.read(tmp_path / "second")[0])
    assert tone.seconds_of(file, 440) == pytest.approx(0.5)
    assert tone.seconds_of(file, 620) == pytest.approx(0.5)


def test_two_simultaneous_tones_count_as_neither(file: Path, tmp_path: Path) -> None:
    for name, hz in (("first", 440), ("second", 620)):
        tone.write(tmp_path / name, hz, 0.5, level=0.4)
    pairs = zip(tone.read(tmp_path / "first")[0], tone.read(tmp_path / "second")[0], strict=True)
    write_samples(file, [one + other for one, other in pairs])
    assert tone.seconds_of(file, 440) == 0
    assert tone.seconds_of(file, 440, share=0.4) == pytest.approx(0.5)


def test_stereo_is_refused(file: Path) -> None:
    write_samples(file, [0] * 20, channels=2)
    with pytest.raises(ValueError, match="one channel"):
        tone.read(file)
