"""The panel that `make run` shows once everything is up: one fact per line, within 80 columns."""

import json
import shlex

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from engine.asterisk.config_files import AMI_USER
from engine.asterisk.softphones import SOFTPHONES
from engine.config.secrets import Secrets
from engine.config.settings import Settings
from engine.config.types import Profile
from engine.local.demo import TEST_NUMBER, key_file, test_key_file, webhook_secret_file

WIDTH = 76


def show(console: Console, settings: Settings, kept: Secrets, down: dict[str, str], sign_in_url: str) -> None:
    """Prints the panel.

    Args:
        console: Where to print.
        settings: The system's settings.
        kept: The installation's secrets; in the demo, the softphones' passwords are shown.
        down: The parts that are not up, each with its state.
        sign_in_url: A link that signs in to the console once.
    """
    lines = [
        *_fact("API", settings.http_url, "health: /health"),
        *_down(settings, down),
    ]
    if settings.has_browser_phone:
        # At the host of the console's link: a page of another host would have no session there.
        lines += _fact(
            "Telephone", f"{settings.http_url}/phone", "a caller and a hidden telephone, in two tabs of a browser here"
        )
    if settings.manage_asterisk:
        notes = ["calls to hidden numbers go there"]
        if settings.profile is Profile.DEMO:
            notes.append("in the demo, only `make call` answers them")
        lines += [
            *_fact("SIP", *_sip(settings)),
            *_fact("Trunk", *(trunk.uri for trunk in settings.trunks_in_use), *notes),
        ]
    lines += [
        *_fact("FastAGI", f"{_host(settings.fastagi_host)}:{settings.fastagi_port}"),
        *_fact("AMI", f"{_host(settings.ami_host)}:{settings.ami_port}"),
    ]
    if settings.metrics_address:
        lines += _fact("Metrics", f"http://{settings.metrics_address}/metrics")
    if settings.profile is Profile.DEMO:
        lines += _demo(settings, kept)
    title = "rented numbers is up" if not down else f"rented numbers is up, without {' and '.join(down)}"
    console.print(
        Panel(
            "\n".join(lines), title=title, subtitle="press Ctrl-C to stop", expand=False, box=box.ROUNDED, width=WIDTH
        ),
        highlight=False,
    )
    if settings.profile is Profile.DEMO:
        # Outside the box and never wrapped, so that it can be copied.
        console.print("\n".join(_curl(settings)), highlight=False, markup=False, soft_wrap=True)
    console.print(f"  Console, this link works once: {sign_in_url}", highlight=False, markup=False, soft_wrap=True)


def _sip(settings: Settings) -> list[str]:
    host = _host(settings.sip_host)
    plain = [f"{host}:{settings.sip_port}, UDP and TCP"] if settings.plain_sip else []
    return plain if settings.sip_tls_port is None else [*plain, f"{host}:{settings.sip_tls_port}, TLS"]


def _fact(name: str, *values: str) -> list[str]:
    first, *more = map(escape, values)
    return [f"[bold]{name:<10}[/]{first}", *(f"{'':<10}{value}" for value in more)]


def _down(settings: Settings, down: dict[str, str]) -> list[str]:
    if not down:
        return []
    refuses = "wrong secret" in down.values()
    return _fact(
        "Missing",
        *(f"{name} is {state}" for name, state in down.items()),
        f"Asterisk's manager interface at {_host(settings.ami_host)}:{settings.ami_port},",
        f"user {AMI_USER}, {'refuses the secret' if refuses else 'does not answer'}. The engine keeps trying.",
        "`rented-numbers asterisk-config` says how to set it up.",
    )


def _demo(settings: Settings, kept: Secrets) -> list[str]:
    key, webhook_secret = key_file(settings.data_dir), webhook_secret_file(settings.data_dir)
    lines = [
        "",
        *_fact("Demo key", key.read_text().strip(), f"also in the file {key}"),
        *_fact("Callbacks", "are signed with the secret in the file", str(webhook_secret)),
    ]
    if not settings.manage_asterisk:
        return lines
    first, second = SOFTPHONES
    lines += ["", "[bold]Softphones[/] (Linphone, Zoiper, baresip …)"]
    for phone, password in ((first, kept.softphone1_password), (second, kept.softphone2_password)):
        lines += [
            f"  {phone.user}@{_host(settings.sip_host)}:{settings.sip_port}",
            f"    password {password}",
            f"    hidden number {phone.number}, to book as a destination",
            f"    rented number {phone.rented}, booked already: it rings here",
        ]
    return [
        *lines,
        "  These two bookings belong to another account, `softphones`:",
        "  the demo key does not list them.",
        "",
        "[bold]Try next[/]",
        "  `make call` in another terminal: one call, step by step",
        f"  dial {second.rented} from {first.user}: {second.user} rings",
        f"  book {second.number} and dial the rented number you get",
    ]


def _curl(settings: Settings) -> list[str]:
    file, test_file = (
        shlex.quote(str(path)) for path in (key_file(settings.data_dir), test_key_file(settings.data_dir))
    )
    call = {"service": TEST_NUMBER, "source": "+33199008077", "outcome": "answered", "seconds": 12}
    return [
        "  List the bookings, then simulate a call in the sandbox:",
        f'  curl -H "Authorization: Bearer $(cat {file})" {settings.http_url}/bookings',
        f'  curl -H "Authorization: Bearer $(cat {test_file})" {settings.http_url}/test/calls \\',
        f"    --json {shlex.quote(json.dumps(call))}",
    ]


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
