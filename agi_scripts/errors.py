"""How a conversation with Asterisk can fail.

AgiError
├── BadPeer                 the peer does not speak FastAGI: too much data, no text, missing or repeated keys
│   └── NotAuthenticated    the request authentication (MAC) is missing or wrong
├── CallerGone              the connection closed in mid-conversation; a command may or may not have been executed
│   └── HungUp              no command was executed: not sent, or Asterisk reports that the channel is gone
├── CommandRefused          Asterisk refused a command: a bug of ours, or a dialplan that does not fit this version
└── UnsafeValue             a value would break out of its AGI command, so the command was not sent
"""


class AgiError(Exception):
    """Any failure of a conversation with Asterisk."""


class BadPeer(AgiError):
    """The peer sent something that is not a FastAGI request."""


class NotAuthenticated(BadPeer):
    """The request carries no valid MAC, so it does not come from one of our Asterisks."""


class CallerGone(AgiError):
    """The connection closed; whether Asterisk executed the last command is unknown."""


class HungUp(CallerGone):
    """The channel hung up and no command was executed, so its call cannot have been bridged."""


class CommandRefused(AgiError):
    """Asterisk did not accept a command."""


class UnsafeValue(AgiError):
    """A name or value must not go into an AGI command."""
