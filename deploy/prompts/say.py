"""Has a speech synthesizer say the sentences of deploy/prompts/sentences.toml.

say.py SENTENCES DIRECTORY BIN

Writes DIRECTORY/<language>/<prompt>.gsm with the programs espeak-ng, sox and toast in BIN. GSM full rate is the
smallest format that Asterisk reads without a licence: 1.6 kB for each second.
"""  # noqa: INP001  a program, as the other files here

import subprocess
import sys
import tomllib
from pathlib import Path

WORDS_PER_MINUTE = "150"
# The rate of every sound on a telephone line without wideband.
RATE = "8000"
# Seconds of silence after a prompt that is repeated.
PAUSES = {"greeting": 4}
# Below full scale, so that no codec clips.
PEAK_DB = "-6"


def run(program: Path, *words: str, sound: bytes = b"") -> bytes:
    """Runs a program, with sound on its standard input. Returns its output."""
    return subprocess.run([program, *words], check=True, input=sound, stdout=subprocess.PIPE).stdout  # noqa: S603


def say(text: str, language: str, path: Path, programs: Path, pause: int = 0) -> None:
    """Writes one sentence, and silence of so many seconds after it."""
    spoken = run(programs / "espeak-ng", "-v", language, "-s", WORDS_PER_MINUTE, "--stdout", text)
    to_line = f"-t raw -e signed -b 16 -c 1 -r {RATE} - gain -n {PEAK_DB} pad 0 {pause}"
    narrow = run(programs / "sox", "-V1", "--ignore-length", "-t", "wav", "-", *to_line.split(), sound=spoken)
    path.write_bytes(run(programs / "toast", "-l", "-c", sound=narrow))


def main(sentences: Path, directory: Path, programs: Path) -> None:
    """Writes all sentences."""
    for prompt, languages in tomllib.loads(sentences.read_text()).items():
        for language, text in languages.items():
            path = directory / language / f"{prompt}.gsm"
            path.parent.mkdir(parents=True, exist_ok=True)
            say(text, language, path, programs, PAUSES.get(prompt, 0))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
