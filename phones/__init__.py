"""SIP telephones without screen or sound card, for tests and for `make call`. They use 127.0.0.1 only.

    Baresip   a telephone with audio: registers or not, dials, answers, plays a tone, records what it hears
    Sipp      scripted SIP signalling: many calls, refusals, CANCEL, misbehaving callees; traces every message
    peer      a scripted SIP address that sends any bytes at any moment and keeps everything that it receives
    tone      writes tones and measures them in a recording

`deploy/tools.sh phones` fetches Baresip and SIPp.
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
