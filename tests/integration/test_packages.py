"""The wheel and the Debian package run where there is no source tree; the package is upgraded, removed and purged."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.asterisk.config_files import ROOT, TOOLS
from phones.ports import free_port, free_port_range
from tests.integration.debian_root import INSTALLED_TOOLS, DebianRoot
from tests.integration.notified import Notified, notified
from tests.programs import ended

# The machine may be busy.
pytestmark = pytest.mark.timeout(300)
SETTINGS = "etc/rented-numbers/rented-numbers.toml"
DATA = "var/lib/rented-numbers"
START_SECONDS = 90


def built(directory: Path) -> Path:
    """Builds the Debian package of this checkout."""
    subprocess.run([str(ROOT / "deploy" / "debian" / "build.sh"), str(directory)], check=True)
    [package] = directory.glob("*.deb")
    return package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("package"))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for a system: the path of Asterisk's socket has a limit of 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="rn-") as name:
        yield Path(name)


@contextmanager
def ready(command: list[str], manager: Notified, **options: Any) -> Iterator[None]:
    """A service that is ready inside the block, and alive; it ends in order after it."""
    with ended(subprocess.Popen(command, **options)) as process:
        manager.wait_for("READY=1", START_SECONDS)
        manager.wait_for("WATCHDOG=1", 10)
        yield
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1", 10)
    assert process.returncode == 0


def test_the_same_checkout_gives_the_same_package(package: Path, tmp_path: Path) -> None:
    """Each build takes place in a new directory."""
    assert built(tmp_path).read_bytes() == package.read_bytes()


# The package is built first, from an environment with the packages of deploy/runtime.txt and no others.
@pytest.mark.usefixtures("package")
def test_the_wheel_runs_from_an_environment_of_its_own(tmp_path: Path, short_path: Path) -> None:
    home, work = tmp_path / "home", short_path
    shutil.copytree(TOOLS / "deb-base", home, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(home / "bin" / "python3")]
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work)], cwd=ROOT, check=True)
    [wheel] = work.glob("*.whl")
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    # As after its tools.sh.
    (home / "share" / "rented-numbers" / ".tools").symlink_to(TOOLS)

    (work / "rented-numbers.toml").write_text(settings())
    program = str(home / "bin" / "rented-numbers")
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("RENTED_NUMBERS_", "PYTHON"))
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], cwd=work, env=variables, capture_output=True, text=True, check=False)

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version").stdout == f"rented-numbers {version}\n"
    assert (home / "share" / "rented-numbers" / "deploy" / "kamailio" / "kamailio.cfg").is_file()
    with notified() as manager, ready([program, "run"], manager, cwd=work, env=variables | manager.variables):
        findings = {each["part"]: each for each in json.loads(run("doctor", "--json").stdout)}
    assert findings["asterisk"]["verdict"] == "ok", findings


def previous(package: Path, directory: Path) -> Path:
    """The package as an older version that is otherwise the same."""
    tree = directory / "previous"
    subprocess.run(["/usr/bin/dpkg-deb", "-R", str(package), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^(Version: .*)$", r"\1~previous", control.read_text()))
    subprocess.run(["/usr/bin/dpkg-deb", "-Znone", "-b", str(tree), str(directory / "previous.deb")], check=True)
    return directory / "previous.deb"


def settings() -> str:
    rtp = free_port_range(20)
    ports = {f"{name}_port": free_port() for name in ("http", "fastagi", "ami", "sip")}
    ports |= {"rtp_start": rtp, "rtp_end": rtp + 19}
    lines = [f'metrics_address = "127.0.0.1:{free_port()}"', *(f"{name} = {port}" for name, port in ports.items())]
    return "\n".join(["", "# ours", *lines, "[[trunks]]", 'name = "carrier"', 'uri = "sip:192.0.2.10"', ""])


@contextmanager
def service(root: DebianRoot) -> Iterator[None]:
    """The unit's command, as systemd runs it; ready inside the block, and alive."""
    unit = (root.path / "lib/systemd/system/rented-numbers.service").read_text()
    [user], [start] = (re.findall(rf"(?m)^{key}=(.*)$", unit) for key in ("User", "ExecStart"))
    variables = re.findall(r"(?m)^Environment=(.*)$", unit)
    with notified() as manager:
        variables += [f"{name}={value}" for name, value in manager.variables.items()]
        command = root.command(*variables, *start.split(), user=user, asterisk=True)
        with ready(command, manager):
            yield


def debians_asterisk(directory: Path) -> Path:
    """A stand-in for Debian's package of Asterisk, with the files that our package looks at."""
    tree = directory / "asterisk"
    program, module = tree / "usr/sbin/asterisk", tree / "usr/lib/asterisk/modules/chan_pjsip.so"
    for path in (program, module, tree / "DEBIAN/control"):
        path.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho Asterisk 20.9.1\n")
    program.chmod(0o755)
    module.touch()
    (tree / "DEBIAN/control").write_text(
        "Package: asterisk\nVersion: 1:20.9.1\nArchitecture: all\nMaintainer: nobody\nDescription: a stand-in\n"
    )
    subprocess.run(["/usr/bin/dpkg-deb", "-b", str(tree), str(directory / "asterisk.deb")], check=True)
    return directory / "asterisk.deb"


def accounts(root: DebianRoot) -> list[str]:
    return [each["name"] for each in json.loads(root.run("rented-numbers", "accounts", "list", "--json"))]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter another Debian")
def test_the_package_is_installed_runs_is_upgraded_with_its_data_and_leaves_nothing(
    package: Path, tmp_path: Path
) -> None:
    root = DebianRoot(tmp_path)

    said = root.install(previous(package, tmp_path))
    assert "systemctl start rented-numbers" in said.splitlines()[-1]
    assert (root.path / "etc/systemd/system/multi-user.target.wants/rented-numbers.service").is_symlink()
    owner = root.run("stat", "-c", "%U:%G %a", f"/{DATA}")
    assert owner == "rented-numbers:rented-numbers 700\n"
    with (root.path / SETTINGS).open("a") as file:
        file.write(settings())
    with service(root):
        root.run("rented-numbers", "accounts", "create", "Acme")
        assert accounts(root) == ["Acme"]
    strangers = root.run("find", f"/{DATA}", "!", "-user", "rented-numbers")
    assert strangers == "", "root's commands act as the service's user"

    root.install(package)
    assert "# ours" in (root.path / SETTINGS).read_text()
    with service(root):
        assert accounts(root) == ["Acme"]
    assert root.run("dpkg", "--verify", "rented-numbers").splitlines() == [f"??5?????? c /{SETTINGS}"]

    found = root.path / INSTALLED_TOOLS / "asterisk.json"
    root.install(debians_asterisk(tmp_path))
    assert json.loads(found.read_text()) | {"source": "machine", "version": "20.9.1"} == json.loads(found.read_text())
    root.run("dpkg", "-r", "asterisk")
    assert not found.exists()

    assert "keeps the database" in root.run("dpkg", "-r", "rented-numbers")
    assert not (root.path / "usr/lib/rented-numbers").exists()
    assert (root.path / DATA / "rented-numbers.sqlite3").exists()
    assert "deleting /var/lib/rented-numbers" in root.run("dpkg", "-P", "rented-numbers")
    left = root.run("find", "/", "-xdev", "-name", "*rented-numbers*", "-not", "-path", "/proc/*").split()
    assert left == []
