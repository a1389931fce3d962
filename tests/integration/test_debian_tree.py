"""deploy/debian-tree.sh takes packages from a mirror with an old Release file only if somebody said so, and says it."""

import os
import subprocess
from pathlib import Path

import pytest

from engine.asterisk.config_files import ROOT

# What apt 2.6.1 prints. Run with the real apt and mirror, the script reads the same line.
EXPIRED = (
    "E: Release file for http://mirror.invalid/debian/dists/forky/InRelease is expired "
    "(invalid since 23d 4h 50min 2s). Updates for this repository will not be applied."
)
APT_GET = f"""#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
    *Check-Valid-Until=false*update*|*update*Check-Valid-Until=false*) exit 0 ;;
    *" update") [ "$LC_ALL" = C ] && grep -q '^Acquire::Check-Valid-Until "true"' "$2" && echo '{EXPIRED}'; exit 100 ;;
    *" install "*) : >"$(sed -nE 's/^Dir::Cache::archives "(.*)";/\\1/p' "$2")/package.deb" ;;
esac
"""
PROGRAMS = {
    "apt-get": APT_GET,
    "apt-config": '#!/bin/sh\nprintf "%s\\n" "$APT_SAYS"\n',
    "dpkg": '#!/bin/sh\n[ "$1" = -x ] || echo amd64\n',
}
# What the machine's apt is configured to, what DEBIAN_STALE says, whether the packages are taken.
CASES = [
    ("", "", False),
    ("until='true'\ndate='true'", "", False),
    ("until='true'", "no", False),
    ("until='false'", "", True),
    ("date='false'", "", True),
    ("", "accept", True),
]


@pytest.mark.parametrize(("machine", "said", "taken"), CASES)
def test_an_old_release_file_is_taken_only_where_somebody_said_so(
    tmp_path: Path, machine: str, said: str, taken: bool
) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "DEBIAN_MIRROR": "http://mirror.invalid/debian",
        "DEBIAN_STALE": said,
        "APT_SAYS": machine,
        "CALLS": str(tmp_path / "calls"),
    }
    done = subprocess.run(
        [str(ROOT / "deploy" / "debian-tree.sh"), "forky", str(tmp_path / "tree"), "hello"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert (done.returncode == 0) is taken, done.stderr
    assert any(" install " in call for call in calls) is taken
    assert (tmp_path / "tree" / ".unpacked").exists() is taken
    assert "passed its date 23d 4h 50min 2s ago" in done.stderr
    assert ("WARNING" in done.stderr) is taken
    assert ("DEBIAN_STALE=accept" in done.stderr) is not taken
