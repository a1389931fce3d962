"""What is spoken in calls: the prompts, and the languages that they are spoken in.

deploy/prompts/sentences.toml has the sentences.
"""

from enum import StrEnum


class Language(StrEnum):
    """A language of the prompts (ISO 639-1)."""

    EN = "en"
    FR = "fr"
    NL = "nl"
    DE = "de"


class Prompt(StrEnum):
    """A sentence that somebody hears in a call. The values are the names of the sound files.

    A caller hears those up to NO_CALLBACK instead of being put through, PIN and PIN_WRONG when it is asked for a PIN,
    and GREETING while the hidden number rings. The hidden number's side hears the others before the two are connected.
    """

    UNKNOWN = "unknown"
    CHANGED_HANDS = "changed_hands"
    EXPIRED = "expired"
    SPENT = "spent"
    PAUSED = "paused"
    CLOSED = "closed"
    BUSY = "busy"
    LINES = "lines"
    ANONYMOUS = "anonymous"
    UNREACHABLE = "unreachable"
    NOBODY = "nobody"
    NO_CALLBACK = "no_callback"
    PIN = "pin"
    PIN_WRONG = "pin_wrong"
    WHISPER = "whisper"
    PRESS1 = "press1"
    GREETING = "greeting"


def sound_of(prompt: Prompt, language: Language) -> str:
    """Returns the name of a prompt's sound file: below the directory of the prompts, and without its extension."""
    return f"{language}/{prompt}"
