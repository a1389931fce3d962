"""The leak table: ways in which a callee can show its identity (rows), for each way through the dialplan (columns).

The callee is the hidden number or, where that calls back, who has called last: the two must not learn of each other.
Of a pair, each participant is the caller once, and the other one is the callee. Where nobody is called, the caller must
not learn of the hidden number of the booking either.

In the texts of a row, {n} is the callee's number (+33…), {d} its digits, {national} its national form, {a} the callee's
address with port, {host} without it, {tag} its tag.
"""

from dataclasses import dataclass
from enum import Enum

from phones.peer.wire import SipTransport


class Column(Enum):
    """All ways that a call can take. `calls`: somebody is called. `talks`: the call is answered."""

    CALLER_ENDS = "bridged, the caller hangs up"
    CALLEE_ENDS = "bridged, the callee hangs up"
    REFUSED = "busy or refused"
    SPOKEN = "unreachable, which the caller hears"
    UNANSWERED = "unanswered"
    CANCELLED = "cancelled by the caller"
    LIMIT = "cut at its limit"
    DELETED = "deleted in mid-call"
    ENGINE_LOST = "engine lost in mid-call"
    SECOND_TRUNK = "refused by the first trunk, bridged by the second"
    SCREENED = "bridged once the callee has pressed the key"
    UNSCREENED = "answered, and no key pressed"
    REVERSE = "the hidden number calls back, and hangs up"
    WHISPERED = "bridged after an announcement to the callee"
    GREETED = "bridged after a greeting of the caller"
    SWAPPED = "bridged over the number that the booking got in exchange"
    PAIR_FIRST = "a pair's first participant calls the second, and hangs up"
    PAIR_SECOND = "a pair's second participant calls the first, who hangs up"
    PAIR_PIN = "whoever knows a participant's PIN calls the other, and hangs up"
    OLD_NUMBER = "the number before the exchange, refused with a prompt"
    CLOSED = "outside the booking's hours, which the caller hears"

    @property
    def calls(self) -> bool:
        return self not in NOBODY_CALLED

    @property
    def talks(self) -> bool:
        return self not in WITHOUT_TALK

    @property
    def caller_ends(self) -> bool:
        return self in CALLER_ENDS

    @property
    def is_screened(self) -> bool:
        return self in (Column.SCREENED, Column.UNSCREENED)

    @property
    def callee_ends(self) -> bool:
        return self in (Column.CALLEE_ENDS, Column.ENGINE_LOST, Column.PAIR_SECOND)

    @property
    def is_pair(self) -> bool:
        return self in (Column.PAIR_FIRST, Column.PAIR_SECOND, Column.PAIR_PIN)

    @property
    def hides_caller(self) -> bool:
        """Whether the caller's number is a hidden one, too, and has to be asserted."""
        return self is Column.REVERSE or self.is_pair


CALLER_ENDS = frozenset(
    {
        *(Column.CALLER_ENDS, Column.SECOND_TRUNK, Column.SCREENED),
        *(Column.WHISPERED, Column.GREETED, Column.SWAPPED, Column.REVERSE, Column.PAIR_FIRST, Column.PAIR_PIN),
    }
)
NOBODY_CALLED = frozenset({Column.OLD_NUMBER, Column.CLOSED})
SPEAKING = frozenset({Column.GREETED, Column.PAIR_PIN})
WITHOUT_TALK = NOBODY_CALLED | {
    *(Column.REFUSED, Column.SPOKEN, Column.UNANSWERED, Column.CANCELLED, Column.UNSCREENED),
}


@dataclass(frozen=True)
class Request:
    """A request that the callee sends twice: while it rings, and after the answer.

    sdp: with its session description; media: further lines of that.
    """

    method: str
    headers: tuple[str, ...]
    text: str = ""
    sdp: bool = False
    media: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """What the callee sends.

    Attributes:
        headers: Headers of all its answers, provisional ones included, and of its BYE.
        reason: The reason phrase of all its answers.
        sdp: Lines of its session descriptions.
        refuses: Its final answer, in place of 200, 486 or 487.
        early: The number of RTP packets that it sends before it answers.
        mime: Whether its bodies hold another part in addition to the session description.
    """

    name: str
    headers: tuple[str, ...] = ()
    reason: str = ""
    sdp: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()
    bye: tuple[str, ...] = ()
    refuses: int | None = None
    early: int = 3
    mime: bool = False


@dataclass(frozen=True)
class Cell:
    """One call. Over TLS its sound is encrypted, and the callee speaks TLS as well, except on the second trunk."""

    row: Row
    column: Column
    transport: SipTransport = "udp"

    def __str__(self) -> str:
        return f"{self.row.name} - {self.column.value} ({self.transport})"

    @property
    def talks(self) -> bool:
        return self.column.talks and self.row.refuses is None

    @property
    def speaks(self) -> bool:
        """Whether the caller hears a prompt before the answer."""
        return self.status == UNREACHABLE or self.column in SPEAKING or not self.column.calls

    @property
    def is_secure_throughout(self) -> bool:
        """Whether the callee's side is TLS and SRTP, too."""
        return self.transport == "tls" and self.column.calls and self.column is not Column.SECOND_TRUNK

    @property
    def status(self) -> int:
        """The expected answer to the caller's INVITE, which shows that the call took the way of its column."""
        if self.talks:
            return 200
        if self.column in WITHOUT_ANSWER:
            return WITHOUT_ANSWER[self.column]
        return REFUSALS[self.row.refuses or 486]


TRANSPORTS: tuple[SipTransport, ...] = ("udp", "tcp", "tls")
# Over TLS other columns meet a row than over TCP.
TLS_SHIFT = 5
UNREACHABLE = 503
# The caller's answer for a call that was not answered,
WITHOUT_ANSWER = {
    Column.SPOKEN: UNREACHABLE,
    Column.UNANSWERED: 480,
    Column.UNSCREENED: 480,
    Column.CANCELLED: 487,
    Column.DELETED: 603,
    Column.OLD_NUMBER: 404,
    Column.CLOSED: 480,
}
# … and for one that the callee refused.
REFUSALS = {302: 486, 305: 486, 404: UNREACHABLE, 480: 480, 486: 486, 500: UNREACHABLE, 603: 486}

IDENTITY = (
    'P-Asserted-Identity: "{n}" <sip:{n}@{host}>',
    'Remote-Party-ID: "{n}" <sip:{n}@{host}>;party=called;privacy=off;screen=yes',
    'P-Preferred-Identity: "{n}" <sip:{n}@{host}>',
    'Diversion: "{n}" <sip:{n}@{host}>;reason=unconditional',
    "History-Info: <sip:{n}@{host}>;index=1",
)
CONTACT = 'Contact: "{n}" <sip:{n}@{a}>;+sip.instance="<urn:{d}>"'
OTHER_MEDIA = (
    "m=image 40002 udptl t38", "a=T38FaxVersion:0", "a=T38VendorInfo:{d}", "m=video 40004 RTP/AVP 99",
    "a=rtpmap:99 H264/90000", "a=x-number:{n}", "m=text 40006 RTP/AVP 98", "a=rtpmap:98 t140/1000", "a=label:{d}",
    "m=message 40008 TCP/MSRP *", "a=path:msrp://{a}/{d};tcp",
)  # fmt: skip
PLAIN = ("Content-Disposition: render", *IDENTITY)

ROWS = (
    Row("P-Asserted-Identity", (IDENTITY[0], "P-Asserted-Identity: <tel:{n}>", "Privacy: none")),
    Row("Remote-Party-ID", (IDENTITY[1],)),
    Row("P-Preferred-Identity", (IDENTITY[2],)),
    Row("Diversion", (IDENTITY[3], 'Diversion: "moved" <tel:{n}>;reason=no-answer')),
    Row("History-Info", (IDENTITY[4], "History-Info: <sip:{d}@{host}?Reason=SIP%3Bcause%3D302>;index=1.1")),
    Row("display names", (CONTACT, 'To: "{n} {national}" <sip:{n}@{host}>;tag={tag}', *IDENTITY[:2])),
    Row("Contact and routes", (CONTACT, "Record-Route: <sip:{n}@{a};lr>", "Service-Route: <sip:{n}@{a};lr>")),
    Row("Warning", ('Warning: 399 {a} "{n}"', 'Warning: 301 {host} "call {national}"')),
    Row("Error-Info", ("Error-Info: <sip:{n}@{a}>",)),
    Row("Call-Info", ("Call-Info: <http://{a}/{d}.png>;purpose=icon, <sip:{n}@{a}>;purpose=info",)),
    Row("Alert-Info", ("Alert-Info: <http://{a}/{d}.wav>",)),
    Row("Subject", ("Subject: {n}", "Organization: {d}", "Priority: {d}")),
    Row("Server and User-Agent", ("Server: phone of {n}", "User-Agent: phone of {n} at {a}")),
    Row(
        "further identities",
        (
            "P-Called-Party-ID: <sip:{n}@{host}>",
            "P-Charging-Vector: icid-value={d};icid-generated-at={host}",
            "P-Access-Network-Info: 3GPP-UTRAN; utran-cell-id-3gpp={d}",
            "P-Associated-URI: <tel:{n}>",
            "Reply-To: <sip:{n}@{host}>",
            "Referred-By: <sip:{n}@{host}>",
            "Geolocation: <sip:{n}@{host}>",
            "Session-ID: {d}{d}{d};remote={d}",
            "User-to-User: {d};encoding=hex",
            "Reason: Q.850;cause=31;text={n}",
            "X-Number: {n}",
        ),
    ),
    Row("reason phrases", reason="{n} or {national} at {a}"),
    Row(
        "session description",
        sdp=(
            "o={n} {d} {d} IN IP4 {host}",
            "s={n}",
            "i={n}",
            "u=http://{a}/{d}",
            "e={d}@{host} ({n})",
            "p={n}",
            "a=x-number:{n}",
            "a=ssrc:{d} cname:{n}@{host}",
            "a=tool:{n}",
            "a=label:{d}",
            "a=rtcp:9 IN IP4 {host}",
            "a=candidate:1 1 UDP 1 {host} 9 typ host",
        ),
    ),
    Row("other parts of a body", mime=True, headers=("MIME-Version: 1.0",)),
    Row("early media", early=25),
    Row("UPDATE", requests=(Request("UPDATE", (*IDENTITY, CONTACT)),)),
    Row("re-INVITE", requests=(Request("INVITE", (*IDENTITY, CONTACT), sdp=True),)),
    Row("offer of fax, video, text and messages", requests=(Request("INVITE", IDENTITY, sdp=True, media=OTHER_MEDIA),)),
    Row("INFO", requests=(Request("INFO", PLAIN, "{n}"),)),
    Row("MESSAGE", requests=(Request("MESSAGE", PLAIN, "I am {n} at {a}"),)),
    Row("NOTIFY", requests=(Request("NOTIFY", (*PLAIN, "Event: refer", "Subscription-State: active"), "{n}"),)),
    Row("REFER", requests=(Request("REFER", (*IDENTITY, "Refer-To: <sip:{n}@{a}>", "Referred-By: <sip:{n}@{a}>")),)),
    Row(
        "other requests",
        requests=(
            Request("OPTIONS", IDENTITY),
            Request("SUBSCRIBE", (*IDENTITY, "Event: presence", "Expires: 60")),
            Request("PUBLISH", (*IDENTITY, "Event: presence"), "{n}"),
        ),
    ),
    Row("BYE with Reason", bye=('Reason: Q.850;cause=16;text="{n}"', 'Reason: SIP;cause=200;text="{a}"', *IDENTITY)),
    Row("302", (*IDENTITY, "Contact: <sip:+33199009998@{a}>"), "moved to {n}", refuses=302),
    Row("305", (*IDENTITY, "Contact: <sip:{n}@{a}>"), "use {a}", refuses=305),
    Row("486 with identity", (*IDENTITY, CONTACT, 'Reason: Q.850;cause=17;text="{n}"'), "{n} is busy", refuses=486),
    Row("480 with identity", (*IDENTITY, CONTACT, "Retry-After: 60 ({n})"), "{n} is away", refuses=480),
    Row("603 with identity", (*IDENTITY, CONTACT, 'Reason: Q.850;cause=21;text="{n}"'), "{n} declines", refuses=603),
    Row("404 with identity", (*IDENTITY, CONTACT, 'Warning: 399 {a} "{n}"'), "no {n}", refuses=404),
    Row("500 with identity", (*IDENTITY, CONTACT, 'Warning: 399 {a} "{n}"'), "{a} failed", refuses=500),
)


# Of the columns in which no callee shows anything.
NOTHING = Row("nothing")


def makes_sense(row: Row, column: Column) -> bool:
    """Whether the table has this cell.

    - Where nobody is called, nobody shows anything.
    - A call that the callee refuses is never bridged, so no side hangs up and no limit is reached, and its own refusal
      decides what the caller gets. But it can be deleted or lose the engine while it rings, and cross a CANCEL.
    - A row with a BYE of the callee needs a call that the callee ends.
    """
    if not column.calls or row is NOTHING:
        return not column.calls and row is NOTHING
    if row.refuses is not None:
        return not (
            column.caller_ends
            or column in (Column.CALLEE_ENDS, Column.PAIR_SECOND, Column.LIMIT, Column.SPOKEN, Column.UNSCREENED)
        )
    if row.bye:
        return column.callee_ends
    return True


def cells() -> list[Cell]:
    """All cells over UDP; over TCP and over TLS one cell of each row, in changing columns, so that each column has one.

    Of the row that shows nothing, all cells over each of them.
    """
    udp = [Cell(row, column) for row in ROWS for column in Column if makes_sense(row, column)]
    quiet = [Cell(NOTHING, column, each) for column in Column if column in NOBODY_CALLED for each in TRANSPORTS]
    streams = []
    for number, row in enumerate(ROWS):
        possible = [column for column in Column if makes_sense(row, column)]
        streams.append(Cell(row, possible[number % len(possible)], "tcp"))
        streams.append(Cell(row, possible[(number + TLS_SHIFT) % len(possible)], "tls"))
    return udp + quiet + streams
