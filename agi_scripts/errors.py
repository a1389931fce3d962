"""How a conversation with Asterisk can fail.

AgiError
├── BadPeer         what came is not a FastAGI request: too much, too slow, not text, keys doubled or missing
│   └── Unproven    the proof that it comes from an Asterisk of ours is missing or wrong
├── CallerGone      the connection closed in the middle
│   └── HungUp      before a command was sent, or Asterisk says that the channel is gone: its call leads nowhere
├── CommandRefused  Asterisk did not accept a command: our bug, or a dialplan that does not fit
└── UnsafeValue     a value that would break out of its AGI command: refused before the wire
"""


class AgiError(Exception):
    pass


class BadPeer(AgiError):
    pass


class NotAuthenticated(BadPeer):
    pass


class CallerGone(AgiError):
    pass


class HungUp(CallerGone):
    pass


class CommandRefused(AgiError):
    pass


class UnsafeValue(AgiError):
    pass
