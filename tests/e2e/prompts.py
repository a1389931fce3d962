"""The prompts that deploy/tools.sh has made, as samples."""

import subprocess
from array import array

from engine.asterisk.config_files import TOOLS


def decoded(sound: str) -> "array[int]":
    """Returns the samples of a prompt, such as nl/expired."""
    made = (TOOLS / "prompts" / f"{sound}.gsm").read_bytes()
    decoder = [str(TOOLS / "bin/toast"), "-d", "-l", "-c"]
    return array("h", subprocess.run(decoder, input=made, check=True, stdout=subprocess.PIPE).stdout)
