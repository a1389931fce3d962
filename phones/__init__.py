"""SIP telephones without screen or sound card, for tests and the demo. They speak on 127.0.0.1 only.

    Baresip   a telephone with audio: registers or not, dials, answers, plays a tone, records what it hears
    Sipp      scripted SIP signalling: many calls, refusals, cancelling, rude callees, every message traced
    peer      a SIP address of our own that sends any bytes at any moment and keeps all that comes
    tone      makes tones and measures them in a recording

Baresip and SIPp come from `deploy/tools.sh phones`.
"""

from phones.baresip import Baresip
from phones.errors import CallEndedError, PhoneError, PhoneTimeoutError
from phones.messages import Message
from phones.programs import Programs
from phones.sipp import Result, Sipp

__all__ = [
    "Baresip",
    "CallEndedError",
    "Message",
    "PhoneError",
    "PhoneTimeoutError",
    "Programs",
    "Result",
    "Sipp",
]
