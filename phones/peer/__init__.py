"""A scripted SIP peer, as caller or callee, over UDP, TCP and TLS, with sound.

Peer    a SIP address that accepts and starts calls
Dialog  one call: answers, requests, any bytes at any moment; keeps everything that it receives
Account the user name and password that a carrier asks for
Media   the RTP and RTCP of a call
Stage   runs them in a thread, so that a test can do other things meanwhile
"""

from phones.peer.dialog import Dialog, Policy, polite
from phones.peer.digest import Account
from phones.peer.media import Media, keys_of, payload_of
from phones.peer.peer import Peer, Play
from phones.peer.stage import Stage
from phones.peer.wire import Address, Packet
from phones.peer.writing import Body, Reply, answer_to, media_blocks, media_of, offer, sdp, uri_of, user_of

__all__ = [
    "Account",
    "Address",
    "Body",
    "Dialog",
    "Media",
    "Packet",
    "Peer",
    "Play",
    "Policy",
    "Reply",
    "Stage",
    "answer_to",
    "keys_of",
    "media_blocks",
    "media_of",
    "offer",
    "payload_of",
    "polite",
    "sdp",
    "uri_of",
    "user_of",
]
