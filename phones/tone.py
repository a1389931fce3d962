"""Writes tones as WAV files and finds tones in recordings (16 bit, one channel)."""

import math
import wave
from array import array
from collections.abc import Sequence
from pathlib import Path

RATE = 8000
FULL_SCALE = 32767
# The length of a WAV file's header in bytes.
HEAD_BYTES = 44


def write(path: Path, hz: int, seconds: float, *, level: float = 0.5, rate: int = RATE) -> None:
    """Writes a sine of `hz` whole Hz (0: silence) and `level` of full scale (0 to 1)."""
    one_second = array(
        "h",
        (round(FULL_SCALE * level * math.sin(2 * math.pi * hz * index / rate)) for index in range(rate)),
    )
    # A second holds a whole number of cycles, so that consecutive seconds join without a click.
    samples = (one_second * math.ceil(seconds))[: round(seconds * rate)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def read(path: Path) -> tuple[list[int], int]:
    """Returns the samples and the sample rate in Hz. Raises ValueError if the file is not 16 bit, one channel."""
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2 or file.getnchannels() != 1:
            raise ValueError(f"{path}: not 16 bit, one channel: {file.getparams()}")
        return array("h", file.readframes(file.getnframes())).tolist(), file.getframerate()


def duration(path: Path) -> float:
    """Returns the seconds of audio in the file."""
    samples, rate = read(path)
    return len(samples) / rate


def are_written(recordings: list[Path]) -> bool:
    """Whether at least one file has sound, and no file is longer than its header says."""
    lengths = {recording: duration(recording) for recording in recordings}
    begun = [recording for recording in recordings if recording.stat().st_size > HEAD_BYTES]
    return max(lengths.values()) > 0 and all(lengths[recording] > 0 for recording in begun)


def seconds_of(path: Path, hz: float, *, block: float = 0.1, share: float = 0.8, floor: float = 0.01) -> float:
    """Returns how many seconds of a recording contain the tone.

    It counts blocks of `block` seconds that are loud enough (root mean square above `floor` of full scale) and have at
    least `share` of their power at `hz`.
    """
    samples, rate = read(path)
    size = round(rate * block)
    found = 0
    for start in range(0, len(samples) - size + 1, size):
        part = samples[start : start + size]
        loudness = math.sqrt(sum(sample * sample for sample in part) / size) / FULL_SCALE
        if loudness > floor and power_share(part, hz, rate) >= share:
            found += 1
    return found * block


def power_share(samples: Sequence[float], hz: float, rate: int = RATE) -> float:
    """Returns the share of the power at `hz` (Goertzel algorithm): 1.0 for a pure tone, about 0 without the tone."""
    power = sum(sample * sample for sample in samples)
    if not power:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * hz / rate)
    newer = older = 0.0
    for sample in samples:
        newer, older = sample + coefficient * newer - older, newer
    at_hz = newer * newer + older * older - coefficient * newer * older
    return 2 * at_hz / (len(samples) * power)
