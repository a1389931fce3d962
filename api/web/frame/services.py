"""What web pages need from the rest of the engine, in addition to what the API has."""

from dataclasses import dataclass, field

from aiohttp import web

from api.http.long_connections import LongConnections
from api.http.rate_limit import RateLimit
from api.web.frame.commands import CommandRunner
from api.web.frame.streams import open_streams
from engine.control.operator import Operator
from engine.metrics.tallies import Tallies
from engine.runtime.security_log import SecurityLog
from engine.storage.console_reads import ConsoleReads

# The most refusals a minute that the security log takes from a session, or from all sessions of an account.
REFUSALS_PER_MINUTE = 20


@dataclass(frozen=True, slots=True)
class WebServices:
    """What web pages need.

    Attributes:
        reads: Reads from the database, on connections that nothing else uses. The application opens and closes them.
        operator: What an operator may ask the running engine for.
        security_log: The log that refusals and actions go to.
        commands: Runs commands of the command line.
        tallies: What the engine has counted since its start.
        url: The API's own address, for the lines that a page shows.
        streams: The open streams.
        refusals: Counts refusals, so that the security log takes only some of them.
    """

    reads: ConsoleReads
    operator: Operator
    security_log: SecurityLog
    commands: CommandRunner
    tallies: Tallies
    url: str
    streams: LongConnections = field(default_factory=open_streams)
    refusals: RateLimit = field(default_factory=lambda: RateLimit(REFUSALS_PER_MINUTE))


WEB = web.AppKey("WEB", WebServices)
