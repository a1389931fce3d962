"""The sections of pjsip.conf for the trunks: one endpoint for calls that come in, one for calls that leave."""

import ipaddress
from collections.abc import Iterator, Sequence

from engine.config.trunk_settings import DialledNumber, TrunkSettings
from engine.config.types import MediaEncryption

# "Optimistic": the first line of sound in an offer is taken, be it encrypted or not.
OPTIONAL_ENCRYPTION = "media_encryption = sdes\nmedia_encryption_optimistic = yes\n"
# Never "optimistic": media would silently fall back to unencrypted.
REQUIRED_ENCRYPTION = "media_encryption = sdes\nmedia_encryption_optimistic = no\n"


def trunk_sections(trunks: Sequence[TrunkSettings]) -> str:
    """Returns the sections of all trunks."""
    return "\n\n".join(section for trunk in trunks for section in _sections(trunk, trunks))


def _sections(trunk: TrunkSettings, trunks: Sequence[TrunkSettings]) -> Iterator[str]:
    """Yields the sections of one trunk.

    The two directions have endpoints of their own, because an option that shows identities to the callee's side must
    not show them to callers. The context of the second one has no extensions, so that no call can come in by it.
    """
    context = "rented-numbers-to" if trunk.dialled_number is DialledNumber.TO else "rented-numbers"
    yield (
        f"[{trunk.carrier}](rented-numbers)\ncontext = {context}\nidentify_by = ip\n{_encryption_of_offers(trunk)}"
    ).rstrip()
    if trunk.addresses:
        matches = "\n".join(f"match = {each}" for each in trunk.addresses)
        yield f"[{trunk.carrier}]\ntype = identify\nendpoint = {trunk.carrier}\n{matches}"
    yield (
        f"[{trunk.endpoint}](rented-numbers)\ncontext = rented-numbers-nowhere\nidentify_by = ip\n"
        f"aors = {trunk.endpoint}\n{_encryption(trunk)}"
    ).rstrip()
    # A semicolon without a backslash starts a comment, which would swallow `;transport=…`.
    yield f"[{trunk.endpoint}]\ntype = aor\ncontact = {trunk.uri.replace(';', chr(92) + ';')}"
    yield from _identified(trunk, trunks)


def _identified(trunk: TrunkSettings, trunks: Sequence[TrunkSettings]) -> Iterator[str]:
    """Yields the section by which Asterisk identifies stray requests from the trunk's own address, if one is needed.

    Asterisk logs requests from unknown sources with the caller's number in them, and in requests from the trunk that is
    the hidden number. No section is written if a carrier's addresses include the trunk's, nor for a trunk given by
    name, which Asterisk would resolve only when it starts.
    """
    try:
        address = ipaddress.ip_address(trunk_host(trunk.uri))
    except ValueError:
        return
    if any(address in ipaddress.ip_network(each) for other in trunks for each in other.addresses):
        return
    yield f"[{trunk.endpoint}]\ntype = identify\nendpoint = {trunk.endpoint}\nmatch = {address}"


def _encryption_of_offers(trunk: TrunkSettings) -> str:
    """Returns the encryption options of the endpoint for calls that come in.

    Without encryption, Asterisk refuses an offer whose first line of sound is encrypted, even if another line is not.
    Optional encryption is no default, because Asterisk then never joins two streams of sound directly, and a call's
    sound costs it 40 % more.
    """
    return OPTIONAL_ENCRYPTION if trunk.media_encryption is MediaEncryption.OPTIONAL else _encryption(trunk)


def _encryption(trunk: TrunkSettings) -> str:
    """Returns the encryption options of an endpoint on a trunk that has to be encrypted; of others, nothing."""
    return REQUIRED_ENCRYPTION if trunk.media_encryption is MediaEncryption.SDES else ""


def trunk_host(uri: str) -> str:
    """Returns the host of a SIP URI: `2001:db8::1` for `sip:[2001:db8::1]:5060;transport=tcp`."""
    address = uri.partition(":")[2].partition(";")[0]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]
