"""Which answers of a trunk end the search for a way to a hidden number, and after which the next trunk is tried.

Theory of operation: the dialplan tries the trunks one after the other. An answer that says something about the callee
is the same on every trunk, so it ends the search: a second call would ring a phone that was refused, or tell a carrier
twice about one call. An answer that says something about the trunk, or about our request to it, says nothing about the
others. Once the callee's side has rung (180) or made progress (183), no other trunk is tried whatever comes.

Sources: RFC 3261 section 21.4 (a 4xx answer is of one server, and "the same request to a different server might be
successful"), section 21.6 (6xx: "the server has definitive information about a particular user"), section 16.7 step 5
(a 6xx ends the search of a forking proxy), section 8.1.3.2 (an unknown answer counts as x00 of its class). RFC 3398
section 8.2.6.1 names the causes of the telephone network that 404, 410, 480, 484 and 486 stand for.
"""

from collections.abc import Mapping

# The answers that end the search, with the reason. Any other 4xx and 5xx, and no answer, lead to the next trunk.
FINAL_ANSWERS: Mapping[int, str] = {
    404: "unallocated number (cause 1), RFC 3261 section 21.4.5: the callee does not exist",
    410: "number changed (cause 22), section 21.4.11: the callee does not exist any more",
    480: "no user responding (cause 18), section 21.4.18: the callee was found, but cannot be reached",
    481: "no such call, section 21.4.19: the call was up with this trunk, so it may have rung",
    482: "loop detected, section 21.4.20: the call comes back to us, and so it would from others",
    483: "too many hops, section 21.4.21: likewise",
    484: "number incomplete (cause 28), section 21.4.22: it stays incomplete",
    485: "ambiguous, section 21.4.23: the callee has to be chosen",
    486: "user busy (cause 17), section 21.4.24: the callee was reached",
    487: "request terminated, section 21.4.25: by the CANCEL of our caller",
}
# Whole classes, by the first digit. 3xx: the callee moved, and forwards are not followed (section 21.3). 6xx: no way
# leads to the callee.
FINAL_CLASSES = "36"

# Answers after which the next trunk is tried, with the reason, as far as they are common. This says why they are not
# above; no rule reads it.
NOT_FINAL: Mapping[int, str] = {
    400: "section 21.4.1: this carrier cannot read the request",
    401: "section 21.4.2: our password is refused; without one, our account is missing",
    402: "section 21.4.3: our account with this carrier has no credit",
    403: "section 21.4.4: this carrier refuses us, or this kind of number",
    405: "section 21.4.6: no INVITE is allowed there",
    407: "section 21.4.8: as 401, of a proxy",
    408: "section 21.4.9: no answer in time, also if Asterisk gave up by itself",
    415: "section 21.4.13: this carrier cannot read the body",
    420: "section 21.4.15: this carrier lacks an extension",
    433: "RFC 5079: this carrier takes no anonymous callers",
    488: "section 21.4.26: no codec in common with this carrier",
    500: "section 21.5.1: this carrier failed",
    501: "section 21.5.2",
    502: "section 21.5.3: the next server of this carrier failed",
    503: "section 21.5.4: overloaded or in maintenance, also if Asterisk found no connection",
    504: "section 21.5.5: the next server of this carrier gave no answer",
    513: "section 21.5.7: the request is too large for this carrier",
}


def ends_search(status: int | None) -> bool:
    """Returns whether no other trunk is tried after a final answer; None if none came."""
    return status is not None and (status in FINAL_ANSWERS or str(status)[0] in FINAL_CLASSES)


def final_answers_pattern() -> str:
    """Returns the regular expression (POSIX) that the dialplan matches a status with; it does as `ends_search`."""
    return f"^({'|'.join(map(str, sorted(FINAL_ANSWERS)))}|[{FINAL_CLASSES}][0-9][0-9])$"
