"""The sound files of the prompts: where they come from, and where Asterisk reads them.

deploy/tools.sh makes one for each sentence of deploy/prompts/sentences.toml. An operator's recording takes its place.
"""

import shutil
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from engine.domain.prompts import Language, Prompt, sound_of

# The directory of the prompts, below that of an Asterisk of our own or of the configuration of another one.
DIRECTORY = "rented_numbers_prompts"
MADE, OWN = ".gsm", ".wav"
# What Asterisk plays without codec_resample: 16 bit, one channel.
RATE, WIDTH, CHANNELS = 8000, 2, 1
SOUNDS = tuple(sound_of(prompt, language) for language, prompt in product(Language, Prompt))
# Of the calls that our Asterisk can carry, this part may hear something at the same time: why they are refused, or the
# question for a PIN.
SPEAKING_PART = 4


@dataclass(frozen=True, slots=True)
class PromptSources:
    """Where the sound files come from.

    Attributes:
        made: The directory of those that deploy/tools.sh has made.
        own: The directory of the operator's recordings, which replace those.
    """

    made: Path
    own: Path

    def file_of(self, sound: str) -> Path | None:
        """Returns the file of a prompt; None if it has none, and callers hear nothing."""
        files = (self.own / f"{sound}{OWN}", self.made / f"{sound}{MADE}")
        return next((file for file in files if file.is_file()), None)

    def missing(self) -> list[str]:
        """Returns the prompts without a file."""
        return [sound for sound in SOUNDS if self.file_of(sound) is None]

    def unusable(self) -> Iterator[str]:
        """Yields what is wrong with the operator's recordings."""
        for path in sorted(self.own.glob(f"*/*{OWN}")):
            name = str(path.relative_to(self.own))
            if name.removesuffix(OWN) not in SOUNDS:
                yield f"{name} has not the name of a prompt, such as en/expired{OWN}"
            elif not _is_playable(path):
                yield f"{name} is not 8 kHz, 16 bit, one channel"

    def install(self, directory: Path) -> None:
        """Copies the sound files to where Asterisk reads them. They are no secrets: everybody may read them."""
        for language in Language:
            (directory / language).mkdir(parents=True, exist_ok=True)
            for each in (directory, directory / language):
                each.chmod(0o755)
        for sound in SOUNDS:
            source = self.file_of(sound)
            for ending in (MADE, OWN):
                target = directory / f"{sound}{ending}"
                if source is None or source.suffix != ending:
                    # Asterisk would choose between two formats by itself.
                    target.unlink(missing_ok=True)
                else:
                    _copy(source, target)


def greeting_classes(directory: Path) -> str:
    """Returns the sections of musiconhold.conf that play the greetings in this directory of prompts."""
    return "\n".join(
        f"[rented-numbers-{language}]\nmode = playlist\nentry = {directory}/{sound_of(Prompt.GREETING, language)}"
        for language in Language
    )


def _copy(source: Path, target: Path) -> None:
    """Copies whole or not at all: Asterisk may be reading the old file."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    shutil.copyfile(source, partial)
    partial.chmod(0o644)
    partial.rename(target)


def _is_playable(path: Path) -> bool:
    try:
        with wave.open(str(path)) as file:
            return (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, WIDTH, CHANNELS)
    except (OSError, EOFError, wave.Error):
        return False


def prompt_places(most_calls: int) -> tuple[int, int]:
    """Returns how many calls may play a prompt at the same time, and how many may be asked for a PIN.

    A question takes five times as long as a prompt, so each has its own half: neither can take the other's places.
    """
    places = max(2, most_calls // SPEAKING_PART)
    return places - places // 2, places // 2
