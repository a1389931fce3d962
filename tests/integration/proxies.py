"""Runs the proxies of deploy/proxy, which deploy/tools.sh brings, with the files that we ship."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk.config_files import ROOT
from phones.ports import free_port
from tests.e2e.certificates import Authority

FILES = ROOT / "deploy" / "proxy"
PROGRAMS = ROOT / ".tools" / "bin"
START_SECONDS = 30.0


@dataclass(frozen=True)
class Proxy:
    """A running proxy.

    Attributes:
        port: Where it listens, with TLS.
        authority: The CA of its certificate.
        directory: Everything that it writes.
        log: Its log of requests.
    """

    port: int
    authority: Path
    directory: Path
    log: Path


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """Puts this machine's ports and paths into a file that we ship. Each text must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(directory: Path, api_port: int, port: int, certificate: Path) -> list[str]:
    site = replaced(
        (FILES / "nginx.conf").read_text(),
        ("server 127.0.0.1:8080", f"server 127.0.0.1:{api_port}"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("/etc/ssl/rented-numbers/fullchain.pem", str(certificate)),
        ("/etc/ssl/rented-numbers/key.pem", str(certificate)),
        ("/var/log/nginx/", f"{directory}/"),
    )
    buffers = "\n".join(
        f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    main = f"daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/main.log info;"
    path = directory / "nginx.conf"
    path.write_text(f"{main}\nevents {{}}\nhttp {{\n{buffers}\naccess_log off;\n{site}}}\n")
    return [str(PROGRAMS / "nginx"), "-p", str(directory), "-c", str(path), "-e", f"{directory}/main.log"]


def caddy(directory: Path, api_port: int, port: int, certificate: Path) -> list[str]:
    text = replaced(
        (FILES / "Caddyfile").read_text(),
        ("\n{\n", "\n{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\tauto_https off\n"),
        ("api.example.com {\n", f"https://127.0.0.1:{port} {{\n\ttls {certificate} {certificate}\n"),
        ("127.0.0.1:8080", f"127.0.0.1:{api_port}"),
        ("/var/log/caddy/", f"{directory}/"),
    )
    path = directory / "Caddyfile"
    path.write_text(text)
    return [str(PROGRAMS / "caddy"), "run", "--config", str(path), "--adapter", "caddyfile"]


Kind = Callable[[Path, int, int, Path], list[str]]
KINDS: dict[str, Kind] = {"nginx": nginx, "caddy": caddy}


@asynccontextmanager
async def running(kind: str, directory: Path, api_port: int) -> AsyncIterator[Proxy]:
    """Starts a proxy in front of an API, and ends it."""
    authority = Authority(directory, "authority")
    written, port = directory / "written", free_port()
    written.mkdir()
    command = KINDS[kind](written, api_port, port, authority.issue())
    home = {"HOME": str(written), "XDG_DATA_HOME": str(written), "XDG_CONFIG_HOME": str(written)}
    with (written / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **home}, stdout=output, stderr=output
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _listens(port):
                assert process.returncode is None, (written / "output").read_text()
                await asyncio.sleep(0.05)
        yield Proxy(port, authority.file, written, written / "rented-numbers.log")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
