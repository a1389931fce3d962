"""The prompts that deploy/tools.sh has made, as samples, and what was heard of them."""

import subprocess
from array import array
from collections.abc import Sequence
from pathlib import Path

from engine.asterisk.config_files import TOOLS
from phones import speech, tone

# A prompt fits a recording of it better than 0.99, and any other one worse than 0.8.
FITS = 0.95
# The longest pause before a prompt, in blocks of loudness.
SLACK = 50
# A block of silence is quieter than this.
QUIET = 50


def decoded(sound: str) -> "array[int]":
    """Returns the samples of a prompt, such as nl/expired."""
    made = (TOOLS / "prompts" / f"{sound}.gsm").read_bytes()
    decoder = [str(TOOLS / "bin/toast"), "-d", "-l", "-c"]
    return array("h", subprocess.run(decoder, input=made, check=True, stdout=subprocess.PIPE).stdout)


def heard(recording: Path, sounds: Sequence[str]) -> list[tuple[float, float, float]]:
    """Looks for prompts that follow each other from the beginning of a recording.

    Returns:
        For each: when it begins and ends, in seconds, and how well it fits, see FITS.
    """
    loud, found, begin = speech.loudness(*tone.read(recording)), [], 0
    for sound in sounds:
        prompt = speech.loudness(decoded(sound), tone.RATE)
        # A greeting ends with seconds of silence, in which the other side may answer.
        said = prompt[: max(block for block, level in enumerate(prompt) if level >= QUIET) + 1]
        places = range(begin, begin + SLACK)
        fit, at = max((speech.find(loud[place : place + len(said)], said, 0.02)[0], place) for place in places)
        begin = at + len(prompt)
        found.append((at * speech.BLOCK_SECONDS, begin * speech.BLOCK_SECONDS, fit))
    return found
