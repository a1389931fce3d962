"""The sections of pjsip.conf for the trunks: one endpoint for calls that come in, one for calls that leave."""

import ipaddress
from collections.abc import Iterator, Sequence

from engine.config.trunk_settings import TrunkSettings
from engine.config.types import MediaEncryption


def trunk_sections(trunks: Sequence[TrunkSettings]) -> str:
    """Returns the sections of all trunks."""
    return "\n\n".join(section for trunk in trunks for section in _sections(trunk, trunks))


def _sections(trunk: TrunkSettings, trunks: Sequence[TrunkSettings]) -> Iterator[str]:
    """Yields the sections of one trunk.

    The two directions have endpoints of their own, because an option that shows identities to the callee's side must
    not show them to callers. The context of the second one has no extensions, so that no call can come in by it.
    """
    yield (
        f"[{trunk.carrier}](rented-numbers)\ncontext = rented-numbers\nidentify_by = ip\n{_encryption_of_offers(trunk)}"
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

    Asterisk refuses a whole offer if its first line of sound is encrypted and the endpoint has no encryption. So
    "optimistic" stands where nothing has to be encrypted: the first line is taken, be it encrypted or not.
    """
    if trunk.media_encryption is MediaEncryption.NONE:
        return "media_encryption = sdes\nmedia_encryption_optimistic = yes\n"
    return _encryption(trunk)


def _encryption(trunk: TrunkSettings) -> str:
    """Returns the encryption options of a trunk on which sound has to be encrypted.

    Never "optimistic": media would silently fall back to unencrypted.
    """
    if trunk.media_encryption is MediaEncryption.NONE:
        return ""
    return f"media_encryption = {trunk.media_encryption}\nmedia_encryption_optimistic = no\n"


def trunk_host(uri: str) -> str:
    """Returns the host of a SIP URI: `2001:db8::1` for `sip:[2001:db8::1]:5060;transport=tcp`."""
    address = uri.partition(":")[2].partition(";")[0]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]
