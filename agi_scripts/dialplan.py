"""The contract between the dialplan (asterisk_conf/drop_in/extensions_rented_numbers.conf) and the script `route`.

The AGI path, its arguments in order, and the channel variables that carry the answer. A test compares the dialplan with
this file. What the dialplan reports afterwards is in engine/calls/reports.py.
"""

from engine.asterisk.call_variables import BEEP, BRIDGE, DYNAMIC_FEATURES, NOT_TAKEN, SECONDS, TAKEN, VERDICT
from engine.domain.booking import Booking
from engine.domain.policy import Policy
from engine.domain.prompts import Language, Prompt, sound_of
from engine.domain.rejections import REJECTIONS, Reason, Reject
from engine.domain.routing import AskPin, Bridge, RouteDecision
from engine.domain.trunks import TrunkRoute

# The AGI path. Its arguments are: dialled number, caller's number, its presentation, Privacy, Remote-Party-ID, the URIs
# of both numbers, the endpoint that calls, the SIP Call-ID (percent-encoded), the identity that the carrier asserts
# (asserted_identity.py), the PIN that the caller has keyed in, which is empty in the first question of a call. The MAC
# follows as one more argument, see request_auth.py.
ROUTE = "route"

# VERDICT is set last, to BRIDGE, REJECT or PIN. Without it the dialplan answers 503: Asterisk reports AGISTATUS=SUCCESS
# even when the engine closes early or sends garbage.
REJECT = "REJECT"
# The caller hears QUESTION and keys in a PIN, with which the engine is asked again. Without one it is rejected.
PIN = "PIN"
QUESTION = "RN_QUESTION"
# Set with BRIDGE, as is SECONDS, the call's lease.
DESTINATION = "RN_DESTINATION"
# The ways to the hidden number, in the order in which they are tried: trunk/number/caller's number, and /most calls
# for a trunk with a limit; joined by &. The caller's number may be empty, and so may the whole.
ROUTES = "RN_ROUTES"
BOOKING = "RN_BOOKING"
RING_SECONDS = "RN_RING"
# Set with REJECT and PIN.
CAUSE = "RN_CAUSE"
# What the caller hears if the call is rejected, or if no trunk takes it after BRIDGE; empty for nothing.
PROMPT = "RN_PROMPT"
# Set with BRIDGE, and with TAKEN, for calls that are announced to the hidden number's side: the key that it must press,
# or nothing, then - and the sounds that it hears, joined by &.
ANNOUNCE = "RN_ANNOUNCE"
# Set with BRIDGE for calls whose caller is greeted while it rings: the language of the greeting.
GREETING = "RN_GREETING"
# Set with BRIDGE for calls with a beep before their end. Both channels get it, because its name begins with __.
FEATURES = f"__{DYNAMIC_FEATURES}"


def verdict(decision: RouteDecision, policy: Policy) -> list[tuple[str, str]]:
    """Returns the variables that carry a decision to the dialplan, in the order in which they must be set.

    Args:
        decision: What to do with the call.
        policy: The operator's rules: whether callers hear why they are refused, and in which language.
    """
    if isinstance(decision, Bridge):
        return [
            (DESTINATION, decision.destination),
            (ROUTES, "&".join(map(_route, decision.routes))),
            (BOOKING, decision.booking.id),
            (SECONDS, str(decision.seconds)),
            (RING_SECONDS, str(decision.ring_seconds)),
            (PROMPT, _sound(Prompt.UNREACHABLE, decision.booking.language, policy)),
            *(_spoken(decision.booking, policy) if decision.rings_hidden_number else []),
            *([(FEATURES, BEEP)] if decision.booking.beep else []),
            (VERDICT, BRIDGE),
        ]
    if isinstance(decision, AskPin):
        question = _sound(decision.prompt, None, policy)
        return [*_rejected(REJECTIONS[Reason.PIN_NEEDED], policy), (QUESTION, question), (VERDICT, PIN)]
    return [*_rejected(decision, policy), (VERDICT, REJECT)]


def _rejected(decision: Reject, policy: Policy) -> list[tuple[str, str]]:
    return [(CAUSE, str(decision.cause)), (PROMPT, _sound(decision.prompt, decision.language, policy))]


def _sound(prompt: Prompt | None, language: Language | None, policy: Policy) -> str:
    return sound_of(prompt, language or policy.language) if prompt and policy.speaks else ""


def _announcement(booking: Booking, policy: Policy) -> list[tuple[str, str]]:
    """Returns the variables of a call that is announced to the hidden number's side; none for other calls.

    Without prompts, a booking that demands a key still does: nobody is charged for a voicemail box.
    """
    key = booking.screening.key
    prompts = [*([Prompt.WHISPER] if booking.whisper else []), *([Prompt.PRESS1] if key else [])]
    sounds = [_sound(prompt, booking.language, policy) for prompt in prompts if policy.speaks]
    return [(ANNOUNCE, f"{key or ''}-{'&'.join(sounds)}"), (TAKEN, NOT_TAKEN)] if sounds or key else []


def _spoken(booking: Booking, policy: Policy) -> list[tuple[str, str]]:
    return [*_announcement(booking, policy), *_greeting(booking, policy)]


def _greeting(booking: Booking, policy: Policy) -> list[tuple[str, str]]:
    return [(GREETING, booking.language or policy.language)] if booking.greeting and policy.speaks else []


def _route(route: TrunkRoute) -> str:
    most = "" if route.max_calls is None else f"/{route.max_calls}"
    return f"{route.trunk}/{route.destination}/{route.shown}{most}"
