"""What is spoken before a conversation, and what the hidden number's side must do between its answer and that."""

from enum import StrEnum

from engine.domain.errors import VoiceIsOff
from engine.domain.policy import Policy


class Screening(StrEnum):
    """What the hidden number's side must do before a call is connected, and charged.

    Attributes:
        NONE: Nothing: every answer connects the call, also that of a voicemail box.
        PRESS1: Press the key 1 after an announcement.
    """

    NONE = "none"
    PRESS1 = "press1"

    @property
    def key(self) -> str | None:
        """The telephone key that connects the call; None if there is no need for one."""
        return "1" if self is Screening.PRESS1 else None


def check_can_speak(policy: Policy, *, speaks: bool | None, screening: Screening | None) -> None:
    """Refuses what nobody would hear: a callee who hears nothing presses no key.

    Args:
        policy: The operator's choices.
        speaks: Whether a whisper, a greeting or PINs are wanted; None if that does not change.
        screening: What is to be demanded of the callee; None if that does not change.

    Raises:
        VoiceIsOff: The operator has switched off what is spoken in calls.
    """
    if not policy.speaks and (speaks or screening not in {None, Screening.NONE}):
        raise VoiceIsOff(
            "whisper, screening, greeting and pins need the prompts that the operator has switched off (VOICE)"
        )
