"""Lines of session descriptions. {port} is the port of the peer's sound; all other ports are made up."""

SOUND = ("m=audio {port} RTP/AVP 0 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=sendrecv")
WITH_FEEDBACK = ("m=audio 40008 RTP/AVPF 0", "a=rtpmap:0 PCMU/8000")
KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
WITH_KEY = (*SOUND, KEY)
ENCRYPTED = (SOUND[0].replace("RTP/AVP", "RTP/SAVP"), *WITH_KEY[1:])
OVER_DTLS = (
    "m=audio 40010 UDP/TLS/RTP/SAVPF 0",
    "a=rtpmap:0 PCMU/8000",
    "a=fingerprint:SHA-1 " + ":".join(["AB"] * 20),
)
REFUSED = ("m=audio 0 RTP/AVP 0",)
FOREIGN = ("m=audio 40012 RTP/AVP 97", "a=rtpmap:97 iLBC/8000")
FAX = ("m=image 40002 udptl t38", "a=T38FaxVersion:0", "a=T38FaxUdpEC:t38UDPRedundancy")
FAX_OVER_TCP = ("m=image 40002 tcp t38", "a=T38FaxVersion:0")
VIDEO = ("m=video 40004 RTP/AVP 99", "a=rtpmap:99 H264/90000")
TEXT = ("m=text 40006 RTP/AVP 98", "a=rtpmap:98 t140/1000")
MESSAGE = ("m=message 40008 TCP/MSRP *", "a=accept-types:text/plain", "a=path:msrp://127.0.0.1:40008/x;tcp")
APPLICATION = ("m=application 40010 UDP/BFCP *", "a=floorctrl:c-only")
UNKNOWN = ("m=whatever 40012 TCP 1",)
