"""Settings that are of use together only."""

from typing import TYPE_CHECKING

from engine.setting_types import MediaEncryption

if TYPE_CHECKING:
    from engine.settings import Settings


def refuse_half_of_tls(settings: "Settings") -> None:
    """Raises ValueError for settings by which nothing could be said, or something in the clear."""
    if settings.media_encryption is not MediaEncryption.NONE and not settings.trunk_over_tls:
        raise ValueError("media_encryption: trunk_uri must say ;transport=tls, or the keys would be sent in the clear")
    if not settings.manage_asterisk:
        return  # the transports are those of the Asterisk that is there
    if settings.sip_tls_port is None and (settings.trunk_over_tls or not settings.plain_sip):
        raise ValueError("sip_tls_port must be set: there is no other way to speak SIP over TLS")
    if settings.sip_tls_port is not None and (settings.sip_tls_certificate is None or settings.sip_tls_key is None):
        raise ValueError("sip_tls_port needs sip_tls_certificate and sip_tls_key")
    if not settings.plain_sip and not settings.trunk_over_tls:
        raise ValueError("sip_plain is false, and so trunk_uri must say ;transport=tls")
