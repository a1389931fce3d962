"""What an existing Asterisk must not do and what it needs: one table for its files and for the running one.

`asterisk-config` applies it to configuration files, `doctor` to what the console of the running Asterisk shows.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.config.trunk_settings import TrunkSettings, is_over_tls

# What the dialplan, the beep and the carrier's side need; a test compares the dialplan with it.
NEEDED_MODULES = (
    "app_dial",
    "app_exec",
    "app_playback",
    "app_playtones",
    "app_senddtmf",
    "app_stack",
    "app_userevent",
    "chan_pjsip",
    "func_callerid",
    "func_channel",
    "func_cut",
    "func_devstate",
    "func_env",
    "func_global",
    "func_groupcount",
    "func_hangupcause",
    "func_logic",
    "func_sha1",
    "func_strings",
    "func_timeout",
    "func_uri",
    "res_agi",
    "res_pjsip_header_funcs",
    "res_pjsip_sips_contact",
    "res_pjsip_t38",
)
# To play prompts: what deploy/tools.sh makes, and an operator's own recordings; and to read a key that is pressed.
VOICE_MODULES = ("app_read", "codec_gsm", "format_gsm", "format_wav", "res_musiconhold")
# What a trunk needs besides: to prove a user name, and to register with it.
DIGEST_MODULE = "res_pjsip_outbound_authenticator_digest"
REGISTRATION_MODULE = "res_pjsip_outbound_registration"
UNWANTED_MODULES = {
    "res_pjsip_messaging": "text messages of a callee do not reach the caller",
    "res_pjsip_refer": "no INVITE with Replaces takes over a call",
}
# Levels that can show a hidden number or a PIN, in a file or in syslog: `debug` and `verbose` the number at every
# Dial(), `warning` when a call cannot be placed, `dtmf` each key that a caller presses. `*` is all levels.
UNWANTED_LEVELS = frozenset({"debug", "dtmf", "verbose", "warning", "*"})
GOOD_LEVELS = "notice,error"
NO_LEVELS = "because debug, verbose and warning can show a hidden number, and dtmf a PIN"
# The options that close a leak or keep the sound, as Asterisk's console shows them. The first are those of endpoints
# by which calls leave, the second those by which callers come in, who must not be shown an identity at all.
TRUNK_OPTIONS = {
    "allow_transfer": "false",
    "direct_media": "false",
    "max_video_streams": "0",
    "redirect_method": "user",
    "send_connected_line": "no",
    "send_diversion": "false",
    "send_history_info": "false",
    "t38_udptl": "false",
    "trust_connected_line": "no",
    "trust_id_inbound": "false",
}
CARRIER_OPTIONS = {**TRUNK_OPTIONS, "send_pai": "false", "send_rpid": "false"}
ANY = "*"
# The console cuts the names of CDR back-ends at this length.
MAX_NAME = 19


class Recorder(NamedTuple):
    """A module that writes a record of each call, with what was dialled: the hidden number.

    Attributes:
        module: The module's name.
        registered: The names by which Asterisk's console lists it, in versions 20 to 22.
        file: The file that makes it write; empty if it does without.
        section: The section there; ANY for each.
        option: The option there, which must be true if its name is `enabled`; ANY for each.
        always_registers: Whether the console lists it even when it has nothing to write.
    """

    module: str
    registered: tuple[str, ...]
    file: str = ""
    section: str = ANY
    option: str = ANY
    always_registers: bool = False


class Records(NamedTuple):
    """One of Asterisk's two kinds of call records.

    Attributes:
        name: Its name.
        file: The file whose `enable` in `[general]` switches it.
        is_default: Whether it is switched on without that option.
        recorders: The modules that write them.
    """

    name: str
    file: str
    is_default: bool
    recorders: tuple[Recorder, ...]

    @property
    def switch_off(self) -> str:
        """What ends all records of this kind."""
        return f"{self.file}: [general] must have  enable = no"

    def leave_out(self, recorder: Recorder) -> str:
        """What ends the records of one module."""
        return f"{noload(recorder.module)}  so that no {self.name} stores a hidden number; or {self.switch_off}"

    def recorder_called(self, registered: str) -> Recorder | None:
        """Returns the module that the console lists by a name, which it may have cut; None if it is unknown."""
        for recorder in self.recorders:
            if registered in {name[:MAX_NAME].strip() for name in recorder.registered} | {*recorder.registered}:
                return recorder
        return None


def noload(module: str) -> str:
    """Returns what keeps Asterisk from loading a module."""
    return f"modules.conf: add  noload = {module}.so"


def needed_modules(trunks: Iterable[TrunkSettings], *, speaks: bool) -> tuple[str, ...]:
    """Returns the modules that calls over these trunks need, and prompts if callers hear any."""
    trunks = list(trunks)
    digest = [DIGEST_MODULE] if any(trunk.username is not None for trunk in trunks) else []
    registration = [REGISTRATION_MODULE] if any(trunk.registers for trunk in trunks) else []
    return (*NEEDED_MODULES, *(VOICE_MODULES if speaks else ()), *digest, *registration)


def wanted_transports(trunks: Iterable[str]) -> list[dict[str, str]]:
    """Returns the options of each SIP transport that trunks need.

    Args:
        trunks: The SIP addresses to which the trunks send requests.
    """
    wanted = []
    for uri in trunks:
        _, _, protocol = uri.partition(";transport=")
        over_tls = is_over_tls(uri)
        transport = {"type": "transport", "protocol": "tls" if over_tls else protocol or "udp"}
        if over_tls:
            transport["verify_server"] = "yes"
        if transport not in wanted:
            wanted.append(transport)
    return wanted


CDR = Records(
    "CDR",
    "cdr.conf",
    is_default=True,
    recorders=(
        Recorder("cdr_csv", ("csv",), "cdr.conf", "csv"),
        Recorder("cdr_custom", ("CDR File custom backend", "cdr_custom", "cdr-custom"), "cdr_custom.conf", "mappings"),
        Recorder("cdr_sqlite3_custom", ("CDR sqlite3 custom backend", "cdr_sqlite3_custom"), "cdr_sqlite3_custom.conf"),
        Recorder("cdr_manager", ("cdr_manager",), "cdr_manager.conf", "general", "enabled"),
        Recorder(
            "cdr_adaptive_odbc",
            ("Adaptive ODBC", "cdr_adaptive_odbc"),
            "cdr_adaptive_odbc.conf",
            option="connection",
            always_registers=True,
        ),
        Recorder("cdr_odbc", ("cdr_odbc", "ODBC"), "cdr_odbc.conf", "global"),
        Recorder("cdr_pgsql", ("pgsql",), "cdr_pgsql.conf", "global"),
        Recorder("cdr_mysql", ("mysql",), "cdr_mysql.conf", "global"),
        Recorder("cdr_tds", ("cdr_tds", "FreeTDS (MSSQL)"), "cdr_tds.conf", "global"),
        Recorder("cdr_radius", ("radius",), "cdr.conf", "radius", "radiuscfg"),
        Recorder("cdr_syslog", ("cdr-syslog",), "cdr_syslog.conf", "cdr"),
        Recorder("cdr_beanstalkd", ("cdr_beanstalkd",), "cdr_beanstalkd.conf", "general", "enabled"),
    ),
)
CEL = Records(
    "CEL",
    "cel.conf",
    is_default=False,
    recorders=(
        Recorder("cel_custom", ("CEL Custom CSV Logging",), "cel_custom.conf", "mappings"),
        Recorder("cel_sqlite3_custom", ("CEL sqlite3 custom backend",), "cel_sqlite3_custom.conf"),
        Recorder("cel_manager", ("Manager Event Logging",), "cel.conf", "manager", "enabled"),
        Recorder("cel_odbc", ("ODBC CEL backend",), "cel_odbc.conf", option="connection", always_registers=True),
        Recorder("cel_pgsql", ("CEL PGSQL backend",)),
        Recorder("cel_tds", ("CEL TDS logging backend",), "cel_tds.conf", "global"),
        Recorder("cel_radius", ("CEL Radius Logging",), "cel.conf", "radius", "radiuscfg"),
        Recorder("cel_beanstalkd", ("Beanstalkd CEL",), "cel_beanstalkd.conf", "general", "enabled"),
    ),
)
ALL_RECORDS = (CDR, CEL)
# It runs only if hep.conf says so.
CAPTURE = Recorder("res_hep_pjsip", (), "hep.conf", "general", "enabled")
CAPTURE_OFF = f"{noload(CAPTURE.module)}  so that no copy of a call's messages goes to another machine"


def mended_levels(levels: frozenset[str]) -> str:
    """Returns what a log file may have of its levels."""
    return ",".join(sorted(levels - UNWANTED_LEVELS)) or GOOD_LEVELS
