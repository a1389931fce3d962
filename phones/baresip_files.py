"""Writes the files that baresip reads at its start.

baresip runs inside their directory, and all paths in them are relative, because baresip cuts a path at its first space.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phones import tone

Answer = Literal["auto", "none"]

SOUND = "sound.wav"
MODULES = "modules"
RTP_PORTS = 20

# dns_server: baresip needs no DNS; port 9 makes any lookup fail.
# call_max_calls: a telephone has one call; a second caller gets "busy".
# jitter_buffer_delay: switches the buffer off. The buffer drops all sound until the end of the call when sound comes
# from another source (SSRC) with lower sequence numbers (baresip issue 817). That happens here if Asterisk forwards the
# first packet itself before it connects the two streams.
CONFIG = """\
sip_listen\t127.0.0.1:{port}
net_interface\t127.0.0.1
dns_server\t127.0.0.1:9
call_max_calls\t1
statmode_default\toff
rtp_ports\t{rtp_first}-{rtp_last}
audio_source\taufile,{sound}
audio_path\t.
ausrc_srate\t8000
auplay_srate\t8000
ausrc_channels\t1
auplay_channels\t1
snd_path\t.
jitter_buffer_delay\t0-0
module_path\t{modules}
{tls}module\tg711.so
module\taufile.so
{recorder}module_tmp\taccount.so
module_app\tmenu.so
module_app\tctrl_tcp.so
ctrl_tcp_listen\t127.0.0.1:{control_port}
"""


# With it, baresip accepts TLS on the port above its SIP port, and presents this certificate there.
TLS_CONFIG = """\
sip_certificate\t{certificate}
sip_cafile\t{authority}
module\tsrtp.so
"""
CERTIFICATE = "certificate.pem"
AUTHORITY = "authority.pem"


@dataclass(frozen=True)
class Tls:
    """SIP over TLS for a telephone, with SRTP required unless `srtp` is false.

    Attributes:
        certificate: PEM file with its certificate, the chain to the CA, and the key.
        authority: PEM file with the CAs that it trusts.
    """

    certificate: Path
    authority: Path
    srtp: bool = True


@dataclass(frozen=True)
class Setup:
    """The settings of one baresip. phones.baresip.Baresip describes them."""

    user: str
    server: str | None
    password: str | None
    numbers: tuple[str, ...]
    answer: Answer
    tone: int | None
    play: Path | None
    recording: bool
    longest_call: float
    port: int
    control_port: int
    rtp_port: int
    modules_dir: Path
    tls: Tls | None = None

    @property
    def registers(self) -> bool:
        """Whether it has an account at the server, which needs a password."""
        return self.server is not None and self.password is not None

    @property
    def account(self) -> str:
        """The SIP address that it calls from."""
        return f"sip:{self.user}@{self.server if self.registers else f'127.0.0.1:{self.port}'}"

    @property
    def transport(self) -> str:
        """The transport parameter of the URIs that it dials."""
        return ";transport=tls" if self.tls else ""


def write(setup: Setup, directory: Path) -> None:
    """Writes config, accounts, contacts, the sound to play and the link to the modules into the directory."""
    config = CONFIG.format(
        port=setup.port,
        control_port=setup.control_port,
        rtp_first=setup.rtp_port,
        rtp_last=setup.rtp_port + RTP_PORTS - 1,
        sound=SOUND,
        modules=MODULES,
        recorder="module\tsndfile.so\n" if setup.recording else "",
        tls=TLS_CONFIG.format(certificate=CERTIFICATE, authority=AUTHORITY) if setup.tls else "",
    )
    (directory / "config").write_text(config)
    (directory / "accounts").write_text("".join(f"{account}\n" for account in _accounts(setup)))
    (directory / "contacts").write_text("")  # without the file baresip writes one of its own
    (directory / MODULES).symlink_to(setup.modules_dir.resolve())
    if setup.tls:
        (directory / CERTIFICATE).symlink_to(setup.tls.certificate.resolve())
        (directory / AUTHORITY).symlink_to(setup.tls.authority.resolve())
    if setup.play:
        (directory / SOUND).symlink_to(setup.play.resolve())
    else:
        tone.write(directory / SOUND, setup.tone or 0, setup.longest_call)


def _accounts(setup: Setup) -> list[str]:
    common = f"answermode={'auto' if setup.answer == 'auto' else 'manual'};audio_codecs=PCMU"
    if setup.tls and setup.tls.srtp:
        common += ";mediaenc=srtp-mand"
    login = f"auth_user={setup.user};auth_pass={setup.password};regint=60" if setup.registers else "regint=0"
    first = f"<{setup.account}>;{login};{common}"
    # baresip answers 404 to a call for a user without an account.
    others = [number for number in setup.numbers if number != setup.user]
    return [first, *(f"<sip:{number}@127.0.0.1:{setup.port}>;regint=0;{common}" for number in others)]
