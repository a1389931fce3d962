#!/usr/bin/env bash
# pins.sh [--upgrade] [--upgrade-package NAME]
#
# Writes deploy/requirements.txt and deploy/runtime.txt (from pyproject.toml, with and without what only developers need)
# and deploy/clients.txt (from deploy/clients.in): one release of each package and the SHA-256 of each of its files, for
# Python 3.11.2, that of Debian 12, and newer. Releases that are pinned already stay unless --upgrade or --upgrade-package
# says otherwise. Read the difference before you commit it: this is the moment at which the package index is trusted.
set -euo pipefail

fail() { printf 'pins.sh: %s\n' "$*" >&2; exit 1; }

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
venv=$(mktemp -d)
trap 'rm -rf -- "$venv"' EXIT

"${PYTHON:-python3}" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
"${pip[@]}" install --quiet --only-binary :all: uv==0.13.9 >&2 || fail "uv cannot be installed"
# uv does not read pip's configuration. The index's address does not get into the files.
index=$("${pip[@]}" config get global.index-url 2>/dev/null) || index=
if [ -n "$index" ]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}; fi

cd -- "$here/.."
compile=("$venv/bin/uv" pip compile --quiet --no-config --universal --python-version 3.11.2 --generate-hashes
    --no-annotate --custom-compile-command "make pins")
"${compile[@]}" "$@" pyproject.toml --extra dev --output-file deploy/requirements.txt
# The same releases as in deploy/requirements.txt, which the tests run with.
"${compile[@]}" pyproject.toml --constraints deploy/requirements.txt --upgrade --output-file deploy/runtime.txt
"${compile[@]}" "$@" deploy/clients.in --output-file deploy/clients.txt
