"""A Debian of its own for a test: a copy of .tools/deb-root, in which packages are installed and programs run."""

import shutil
import subprocess
from pathlib import Path

from engine.asterisk.config_files import TOOLS

PRISTINE = TOOLS / "deb-root"
INSTALLED_TOOLS = "usr/lib/rented-numbers/share/rented-numbers/.tools"
# The mounts are those of one command and end with it. Asterisk's tree is read-only.
ENTER = """
set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
if [ -n "$3" ]; then mkdir -p "$1/$2" && mount --bind "$3" "$1/$2" && mount -o remount,bind,ro "$1/$2"; fi
root=$1; user=$4; shift 4
exec chroot --userspec="$user" "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
"""


class DebianRoot:
    """A Debian in a directory. It shares the machine's network.

    Attributes:
        path: The directory.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "root"
        subprocess.run(["/bin/cp", "-a", str(PRISTINE), str(self.path)], check=True)

    def command(self, *words: str, user: str = "root", asterisk: bool = False) -> list[str]:
        """The command line that runs `words` inside, after an optional VARIABLE=value each.

        Args:
            words: The program and its arguments.
            user: Who runs it.
            asterisk: Whether the package finds the Asterisk of .tools, as after its tools.sh.
        """
        tools = str(TOOLS.resolve()) if asterisk else ""
        names = (str(self.path), INSTALLED_TOOLS, tools, f"{user}:{user}")
        return ["unshare", "--mount", "sh", "-c", ENTER, "sh", *names, *words]

    def run(self, *words: str, user: str = "root") -> str:
        """Runs a command that must succeed. Returns what it says, on both outputs."""
        done = subprocess.run(
            self.command(*words, user=user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def install(self, package: Path) -> str:
        """Installs a package with dpkg. Returns what was said."""
        copy = self.path / "tmp" / package.name
        shutil.copy(package, copy)
        said = self.run("dpkg", "--force-unsafe-io", "-i", f"/tmp/{package.name}")
        copy.unlink()
        return said
