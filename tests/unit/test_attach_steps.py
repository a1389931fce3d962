"""What `asterisk-config` still asks for, on files as distributions and FreePBX ship them."""

from pathlib import Path

import pytest

from engine.asterisk.attach_steps import remaining_steps
from engine.asterisk.drop_ins import write_drop_ins
from engine.asterisk.exposures import NEEDED_MODULES
from engine.asterisk.present_config import MAX_DEPTH, PresentConfig, UnreadableConfig
from engine.config.secrets import write_trunk_password
from engine.config.settings import Settings
from tests.unit.test_asterisk_files import DROP_INS, KEPT
from tests.unit.test_settings import alone

__all__ = ["alone"]  # a fixture

INCLUDES = [f'#tryinclude "{name}"' for name in DROP_INS]
LOG_MAPPINGS = """[log_mappings]
type = log_mappings
asterisk_error = 0
asterisk_warning =
asterisk_notice =
asterisk_verbose =
asterisk_debug = 1,2,3,4,5
"""
# Everything is done, in the manner of Debian's files.
DONE = {
    "asterisk.conf": "[directories](!)\nastetcdir => /etc/asterisk\n\n[options]\nrunuser = @owner@\t\t; The user\n",
    "extensions.conf": (
        f"[general]\nstatic=yes\n[globals]\n; {INCLUDES[2]}\n{INCLUDES[0]}\n[default]\nexten => _X.,1,Set(A=\\;b)\n"
    ),
    "features.conf": f"[general]\n[applicationmap]\n{INCLUDES[1]}\n",
    "manager.conf": (
        ";\n; AMI\n;\n[general]\nenabled = yes\n;webenabled = yes\n\nport = 5038\nbindaddr = 127.0.0.1\n"
        f"{INCLUDES[2]}\n"
    ),
    "pjsip.conf": f"[transport-udp]\ntype=transport\nprotocol=udp\nbind=0.0.0.0\n{INCLUDES[3]}\n",
    "modules.conf": (
        "[modules]\nautoload=yes\n;\n; Uncomment:\n;preload => res_odbc.so\nnoload => pbx_gtkconsole.so\n"
        "noload = res_pjsip_messaging.so\nnoload = res_pjsip_refer.so\n\n[global]\n"
    ),
    "logger.conf": ("[general]\n[logfiles]\n;debug => debug\nconsole => notice,error\nmessages.log => notice,error\n"),
    "pjproject.conf": LOG_MAPPINGS,
}
# The same in the manner of FreePBX, whose own files include others that it writes anew and some for the administrator.
FREEPBX = DONE | {
    "extensions.conf": (
        "#include extensions_override_freepbx.conf\n#include extensions_custom.conf\n[from-pstn]\ninclude => ext-did\n"
    ),
    "extensions_override_freepbx.conf": "",
    "features.conf": "#include features_general_additional.conf\n#include features_applicationmap_custom.conf\n",
    "features_general_additional.conf": "",
    "features_applicationmap_custom.conf": f"{INCLUDES[1]}\n",
    "extensions_custom.conf": f"[from-pstn-custom]\nexten => s,1,NoOp\n{INCLUDES[0]}\n",
    "manager.conf": (
        "[general]\nenabled = yes\nport = 5038\nbindaddr = 0.0.0.0\ndisplayconnects=no ;only effects 1.6+\n\n"
        "[admin]\nsecret = x;y\npermit=127.0.0.1/255.255.255.0\n"
        "#include manager_additional.conf\n#include manager_custom.conf\n"
    ),
    "manager_additional.conf": ";--------------------------------;\n; Do NOT edit\n;--\nenabled = no\n--;\n",
    "manager_custom.conf": f"{INCLUDES[2].replace('#try', '#')}\n",
    "pjsip.conf": (
        "#include pjsip.transports.conf\n#include pjsip_custom_post.conf\n; all of:\n#tryinclude pjsip.d/*.conf\n"
    ),
    "pjsip.transports.conf": (
        "[tls-template](!)\ntype=transport\nprotocol=tls\nverify_server=yes\n"
        "[0.0.0.0-tls](tls-template)\nbind=0.0.0.0:5061\n[0.0.0.0-tls](+)\ncos=3\n"
        "[0.0.0.0-udp]\ntype=transport\nprotocol=udp\nbind=0.0.0.0\n"
    ),
    "pjsip_custom_post.conf": f"{INCLUDES[3]}\n",
    "modules.conf": (
        "[modules]\nautoload=yes\npreload = pbx_config.so\nnoload = RES_PJSIP_MESSAGING\n"
        "noload=res_pjsip_refer.so;why\n"
    ),
    "logger.conf": (
        "[general]\n#include logger_general_additional.conf\n[logfiles]\n#include logger_logfiles_additional.conf\n"
    ),
    "cdr.conf": "[general]\nenable=no\n[csv]\nusegmtime=yes\n",
    "cdr_adaptive_odbc.conf": "[cdr]\nconnection=asteriskcdrdb\n",
    "cel.conf": "[general]\nenable=no\n[manager]\nenabled=yes\n",
    "hep.conf": "[general]\nenabled = no\ncapture_address = 192.0.2.1:9061\n",
    "logger_general_additional.conf": "dateformat=%F %T\n",
    "logger_logfiles_additional.conf": "full => [json]notice,error,fax\nconsole => error\n",
}


def steps(tmp_path: Path, files: dict[str, str], **changes: object) -> list[str]:
    """Returns the remaining steps on these files."""
    directory = tmp_path / "asterisk"
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        owner = directory.owner()
        (directory / name).write_text(text.replace("@owner@", owner), encoding="latin-1")
    settings = Settings.model_validate({"data_dir": tmp_path / "var", **changes})
    settings.journal.mkdir(parents=True, exist_ok=True)
    return remaining_steps(settings, directory, write_drop_ins(settings, KEPT, directory))[:-1]


@pytest.mark.parametrize("files", [DONE, FREEPBX], ids=["stock", "FreePBX"])
def test_nothing_is_asked_for_where_everything_is_done(tmp_path: Path, files: dict[str, str]) -> None:
    assert steps(tmp_path, files) == []


def test_the_last_step_is_always_to_reload(tmp_path: Path) -> None:
    assert steps(tmp_path, DONE) == []
    settings = Settings(data_dir=tmp_path / "var")
    assert remaining_steps(settings, tmp_path / "asterisk", [])[-1] == "Then run in Asterisk's console: core reload"


def test_everything_is_asked_for_where_there_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "asterisk").mkdir()
    settings = Settings(data_dir=tmp_path / "var")
    left = remaining_steps(settings, tmp_path / "asterisk", write_drop_ins(settings, KEPT, tmp_path / "asterisk"))
    # Four includes, owner, manager, transport, two modules to leave out, those needed, logger, pjproject, spool, and
    # to reload.
    assert len(left) == 14
    assert all(module in left[9] for module in NEEDED_MODULES)


M = DONE["modules.conf"]
LOADS = "".join(f"load = {module}.so\n" for module in NEEDED_MODULES)


@pytest.mark.parametrize(
    ("file", "text", "asked"),
    [
        ("extensions.conf", "", DROP_INS[0]),
        ("extensions.conf", f"; {INCLUDES[0]}\n", DROP_INS[0]),
        ("extensions.conf", f";-- {INCLUDES[0]}\n{INCLUDES[0]}\n--;\n", DROP_INS[0]),
        ("manager.conf", f"[general]\nenabled = no\n{INCLUDES[2]}\n", "enabled = yes"),
        ("manager.conf", f"[general]\n{INCLUDES[2]}\n", "enabled = yes"),
        ("manager.conf", f"[other]\nenabled = yes\n{INCLUDES[2]}\n", "enabled = yes"),
        ("manager.conf", f"[general]\nenabled = yes\nport = 5039\n{INCLUDES[2]}\n", "127.0.0.1:5038"),
        ("manager.conf", f"[general]\nenabled = yes\nbindaddr = 192.0.2.1\n{INCLUDES[2]}\n", "127.0.0.1:5038"),
        ("manager.conf", f"[general]\nenabled = 1\nbindaddr = ::\n{INCLUDES[2]}\n", ""),
        ("manager.conf", f"[general]\nenabled = yes\n{INCLUDES[2]}\n[general]\nenabled = no\n", "enabled = yes"),
        ("pjsip.conf", f"[transport](!)\ntype = transport\n{INCLUDES[3]}\n", "must have a transport"),
        ("pjsip.conf", f"[x]\ntype = endpoint\n{INCLUDES[3]}\n", "must have a transport"),
        ("modules.conf", M.replace("noload = res_pjsip_refer.so", ""), "noload = res_pjsip_refer.so"),
        ("modules.conf", M.replace("noload = res_pjsip_messaging.so", ""), "noload = res_pjsip_messaging.so"),
        ("modules.conf", M + "[modules]\nnoload = func_env.so\n", "must be loaded (autoload does): func_env"),
        ("modules.conf", f"[modules]\nautoload = no\n{LOADS}", ""),
        ("modules.conf", f"[modules]\n{LOADS}", ""),
        ("modules.conf", f"[modules]\nautoload=no\n{LOADS}load = res_pjsip_refer.so\n", "noload = res_pjsip_refer.so"),
        ("modules.conf", f"[modules]\n{LOADS.replace('load = app_userevent.so', '')}", ": app_userevent"),
        ("modules.conf", f"[modules]\n{LOADS.replace('load = func_cut', 'require = func_cut')}", ""),
        ("modules.conf", "[modules]\n#exec /usr/bin/modules\nautoload = yes\n", ", ".join(NEEDED_MODULES)),
        ("logger.conf", "[logfiles]\nfull => notice,warning,error\n", "logger.conf"),
        ("logger.conf", "[logfiles]\nfull => *\n", "logger.conf"),
        ("logger.conf", "[logfiles]\nfull => notice,error,dtmf\n", "change to  full => error,notice  because"),
        ("logger.conf", "[logfiles]\nfull => [json]verbose(5),error\n", "logger.conf"),
        ("logger.conf", "[logfiles]\nsyslog.local0 => debug\n", "logger.conf"),
        ("logger.conf", "[logfiles]\n", "logger.conf"),
        ("logger.conf", "[logfiles]\nfull => error\nconsole => warning,error\n", "change to  console => error  "),
        ("logger.conf", "[logfiles]\nfull => [json]verbose(5),error\n", "change to  full => [json]error  "),
        ("pjsip.conf", f"[t]\ntype=transport\nprotocol=tcp\n{INCLUDES[3]}\n", "protocol = udp"),
        ("pjsip.conf", f"[t]\ntype=transport\n{INCLUDES[3]}\n", ""),
        ("pjproject.conf", LOG_MAPPINGS.replace("asterisk_error = 0", "asterisk_error = 0,1"), "pjproject.conf"),
        ("asterisk.conf", "[options]\nrunuser = nobody-else\n", "change their owner"),
        # What pyst2 cannot read breaks nothing: its steps are asked for.
        ("manager.conf", f"[general]\nenabled\n{INCLUDES[2]}\n", "enabled = yes"),
        ("manager.conf", f"[general\nenabled = yes\n{INCLUDES[2]}\n", "enabled = yes"),
        ("manager.conf", "#include missing.conf\n", "enabled = yes"),
        ("manager.conf", "#include manager.conf\n", "enabled = yes"),
        ("logger.conf", "[logfiles]\nfull = \xff\xfe\x00\n", ""),
    ],
)
def test_a_step_is_asked_for_until_it_is_done(tmp_path: Path, file: str, text: str, asked: str) -> None:
    left = steps(tmp_path, DONE | {file: text})
    assert (asked in " | ".join(left)) if asked else left == []
    assert all(file in step or asked in step for step in left)


CSV = {"cdr.conf": "[general]\n[csv]\nusegmtime=yes\n"}
CEL = {"cel.conf": "[general]\nenable=yes\n"}


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (CSV, ["cdr_csv"]),
        ({"cdr.conf": "[general]\nenable=no\n[csv]\nusegmtime=yes\n"}, []),
        ({"cdr.conf": "[general]\n[csv]\n"}, []),
        (CSV | {"modules.conf": M + "[modules]\nnoload = cdr_csv.so\n"}, []),
        (CSV | {"modules.conf": f"[modules]\n{LOADS}"}, []),
        (CSV | {"modules.conf": f"[modules]\n{LOADS}load = cdr_csv.so\n"}, ["cdr_csv"]),
        ({"cdr_custom.conf": "[mappings]\nMaster.csv => ${CDR(dst)}\n"}, ["cdr_custom"]),
        ({"cdr_custom.conf": "[mappings]\n"}, []),
        ({"cdr_manager.conf": "[general]\nenabled = yes\n"}, ["cdr_manager"]),
        ({"cdr_manager.conf": "[general]\nenabled = no\n"}, []),
        ({"cdr_adaptive_odbc.conf": "[a]\nconnection=x\n"}, ["cdr_adaptive_odbc"]),
        ({"cdr_pgsql.conf": "[global]\n"}, []),
        ({"cdr_mysql.conf": "[global]\nhostname=db\n"}, ["cdr_mysql"]),
        ({"cel_custom.conf": "[mappings]\nMaster.csv => ${eventtype}\n"}, []),
        (CEL | {"cel_custom.conf": "[mappings]\nMaster.csv => ${eventtype}\n"}, ["cel_custom", "cel_pgsql"]),
        ({"cel.conf": "[general]\nenable=yes\n[manager]\nenabled=yes\n"}, ["cel_manager", "cel_pgsql"]),
        ({"hep.conf": "[general]\nenabled = yes\n"}, ["res_hep_pjsip"]),
    ],
)
def test_a_module_that_records_calls_is_left_out(tmp_path: Path, files: dict[str, str], modules: list[str]) -> None:
    left = steps(tmp_path, DONE | files)
    assert [step.partition(".so ")[0] for step in left] == [f"modules.conf: add  noload = {each}" for each in modules]
    assert left == [] or "core restart" in last_step(tmp_path)


def test_records_of_a_file_that_cannot_be_read_are_switched_off(tmp_path: Path) -> None:
    assert steps(tmp_path, DONE | {"cdr.conf": "[general\n"}) == ["cdr.conf: [general] must have  enable = no"]


def test_the_file_that_has_the_line_is_named(tmp_path: Path) -> None:
    [left] = steps(tmp_path, FREEPBX | {"logger_logfiles_additional.conf": "full => verbose(3),error,warning\n"})
    assert left.startswith("logger_logfiles_additional.conf: change to  full => error  because ")


def last_step(tmp_path: Path) -> str:
    return remaining_steps(Settings(data_dir=tmp_path / "var"), tmp_path / "asterisk", [])[-1]


def test_tls_needs_a_transport_that_checks_the_carriers_certificate(tmp_path: Path) -> None:
    changes = {"trunk_uri": "sip:sbc.carrier.example;transport=tls", "manage_asterisk": False}
    assert steps(tmp_path, FREEPBX, **changes) == []
    [left] = steps(tmp_path, DONE, **changes)
    assert "type = transport, protocol = tls, verify_server = yes" in left


def test_a_trunk_that_registers_needs_two_more_modules(tmp_path: Path) -> None:
    trunk = {"name": "main", "uri": "sip:192.0.2.1", "username": "u", "register": True}
    write_trunk_password(tmp_path / "var" / "secrets", "main", "secret")
    [left] = steps(tmp_path, DONE | {"modules.conf": f"[modules]\nautoload = no\n{LOADS}"}, trunks=[trunk])
    assert left.endswith("res_pjsip_outbound_authenticator_digest, res_pjsip_outbound_registration")


def test_behind_a_router_every_transport_needs_the_address_before_it(tmp_path: Path) -> None:
    changes = {"external_address": "203.0.113.7"}
    [left] = steps(tmp_path, DONE, **changes)
    needed = "external_signaling_address = 203.0.113.7\nexternal_media_address = 203.0.113.7\n"
    assert needed.splitlines()[0] in left
    present = DONE["pjsip.conf"].replace("type=transport\n", f"type=transport\n{needed}")
    assert present != DONE["pjsip.conf"]
    assert steps(tmp_path, DONE | {"pjsip.conf": present}, **changes) == []


def test_the_end_spools_directory_must_exist(tmp_path: Path) -> None:
    steps(tmp_path, DONE)
    settings = Settings(data_dir=tmp_path / "var")
    settings.journal.rmdir()
    [left, _] = remaining_steps(settings, tmp_path / "asterisk", [])
    assert left.startswith(f"{settings.journal}: Asterisk's user must be able to write there")


def test_includes_end_at_a_depth(tmp_path: Path) -> None:
    for depth in range(MAX_DEPTH + 2):
        (tmp_path / f"{depth}.conf").write_text(f"[s{depth}]\n#include {depth + 1}.conf\n")
    (tmp_path / f"{MAX_DEPTH + 2}.conf").write_text("")
    with pytest.raises(UnreadableConfig, match="include each other"):
        PresentConfig(tmp_path).sections("0.conf")
    assert len(PresentConfig(tmp_path).sections("3.conf")) == MAX_DEPTH - 1
