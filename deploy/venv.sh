#!/usr/bin/env bash
# venv.sh: creates the project's Python environment in .venv, with the pinned packages of deploy/requirements.txt and
# the project itself (editable). Works again only if the interpreter, pyproject.toml or deploy/requirements.txt has
# changed. Every file that is installed has a SHA-256 in deploy/requirements.txt, also those that build the project;
# `make pins` renews them.
#
#   PYTHON    the interpreter to use (default: python3), 3.11 or newer
set -euo pipefail

say() { printf '  %s\n' "$*" >&2; }
fail() { printf 'venv.sh: %s\n' "$*" >&2; exit 1; }

# Ctrl-C ends the script at once, without a retry. Long commands run in the background, because bash handles a signal
# only after the command in the foreground has ended. They get SIGTERM, because Python prints a traceback on SIGINT.
stop() { # STATUS
    trap '' INT TERM
    for child in $(jobs -p); do kill -TERM -- "-$child" 2>/dev/null || true; done
    printf '  venv.sh: interrupted\n' >&2
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM

interruptible() { # COMMAND...   output and status are those of the command
    local status=0
    set -m         # gives the command its own process group, which can be ended as a whole
    "$@" 9>&- &    # without the lock: a process that outlives this script must not block the next run
    child=$!
    set +m
    wait "$child" || status=$?
    return "$status"
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname -- "$here")
venv=$project/.venv
stamp=$venv/.made
requirements=$here/requirements.txt
python=${PYTHON:-python3}

command -v "$python" >/dev/null || fail "$python was not found: install Python 3.11 or newer (apt-get install python3)"
version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is version $version, but Python 3.11 or newer is needed: set PYTHON=…"

# Contains the project's path: after a checkout was moved, the environment's scripts still point to the old place.
fingerprint() {
    local file
    printf '%s %s\n' "$version" "$venv"
    for file in "$project/pyproject.toml" "$requirements"; do
        if [ -f "$file" ]; then sha256sum <"$file"; fi
    done
}

have_ensurepip() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

apt_install() {
    apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"
}

# Debian's python3 does not include ensurepip, which creates environments.
need_ensurepip() {
    local attempt
    if have_ensurepip; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "$python cannot create environments. As root, run: apt-get install -y python3-venv"
    fi
    say "installing python3-venv"
    for attempt in 1 2 3; do
        if apt_install python3-venv >/dev/null 2>&1; then break; fi
        [ "$attempt" = 3 ] || sleep $((attempt * 3))
    done
    have_ensurepip || fail "$python still has no ensurepip after apt-get install -y python3-venv"
}

# pip has its own retries and timeouts; the second attempt covers what they do not, such as a broken download.
pip_install() {
    local log=$venv/pip.log attempt
    local pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
    for attempt in 1 2; do
        if interruptible "${pip[@]}" install --retries 5 --timeout 30 "$@" >"$log" 2>&1; then return; fi
    done
    tail -n 20 "$log" >&2
    if grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        fail "a package is not the file that deploy/requirements.txt names: its SHA-256 differs. It was not installed." \
            "If another attempt says so too, the package index or the way to it is not to be trusted"
    fi
    fail "pip install $* failed after $attempt attempts"
}

build() {
    need_ensurepip
    if [ "$(head -n 1 -- "$stamp" 2>/dev/null)" != "$version $venv" ]; then
        say ".venv: creating, with Python $version"
        rm -rf -- "$venv"
        interruptible "$python" -m venv "$venv"
    fi
    rm -f -- "$stamp"    # if this run is interrupted from here on, the next one creates .venv again
    if [ -f "$requirements" ]; then
        say ".venv: installing deploy/requirements.txt"
        # Wheels only: nothing is built, so no build tool that has no hash is fetched, and no package's code runs.
        pip_install --require-hashes --only-binary :all: -r "$requirements"
    fi
    if [ -f "$project/pyproject.toml" ]; then
        say ".venv: installing the project"
        # Built with the hatchling of deploy/requirements.txt; nothing is fetched.
        pip_install --no-index --no-build-isolation --no-deps -e "$project"
    fi
    fingerprint >"$stamp.partial"
    mv -f -- "$stamp.partial" "$stamp"
    say ".venv: done"
}

made() { [ "$(cat -- "$stamp" 2>/dev/null)" = "$(fingerprint)" ]; }

if made; then exit 0; fi
mkdir -p -- "$project/.tools"
exec 9>"$project/.tools/venv.lock"    # not inside .venv, which may be removed and created again
if ! flock -n 9; then
    say "waiting for another run of venv.sh"
    flock -w 900 9 || fail "the other run did not finish within 15 minutes"
fi
if made; then exit 0; fi
build
