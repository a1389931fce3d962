"""What `make run` shows once everything is up."""

from pathlib import Path

from rich.console import Console
from rich.panel import Panel

from engine.local.demo import SOFTPHONES, key_file
from engine.secrets import Secrets
from engine.settings import Profile, Settings


def show(console: Console, settings: Settings, kept: Secrets) -> None:
    lines = [
        f"[bold]API[/]       http://{settings.http_host}:{settings.http_port}   (health: /health)",
        f"[bold]SIP[/]       {settings.sip_host}:{settings.sip_port}, UDP and TCP",
        f"[bold]Trunk[/]     {settings.trunk_uri}   (calls to hidden numbers leave there)",
        f"[bold]FastAGI[/]   {settings.fastagi_host}:{settings.fastagi_port}",
        f"[bold]AMI[/]       {settings.ami_host}:{settings.ami_port}",
    ]
    if settings.profile is Profile.DEMO:
        lines += _demo(settings, kept)
    console.print(Panel("\n".join(lines), title="rented numbers is up", subtitle="Ctrl-C ends it", expand=False))


def _demo(settings: Settings, kept: Secrets) -> list[str]:
    file = key_file(settings.data_dir)
    server = f"{settings.sip_host}:{settings.sip_port}"
    first, second = SOFTPHONES
    lines = [
        f"[bold]Demo key[/]  {_read(file)}",
        f"          also in {file}",
        "",
        "[bold]Softphones[/] (Linphone, Zoiper, baresip …)",
    ]
    for phone, password in ((first, kept.softphone1_password), (second, kept.softphone2_password)):
        lines.append(f"  {phone.user}@{server}   password {password}   rung by dialling {phone.rented}")
    return [
        *lines,
        "",
        "[bold]Try next[/]",
        "  make call                          a real call, from booking to callback, in another terminal",
        f"  dial {second.rented} from {first.user}   and {second.user} rings",
        f'  curl -H "Authorization: Bearer $(cat {file})" http://{settings.http_host}:{settings.http_port}/bookings',
    ]


def _read(file: Path) -> str:
    return file.read_text().strip()
