#!/usr/bin/env bash
# venv.sh: the project's Python environment in .venv: deploy/requirements.txt (pinned), then the project itself,
# editable. Does its work again only when the interpreter, pyproject.toml or deploy/requirements.txt has changed.
#
#   PYTHON    the interpreter to use (default: python3), 3.11 or newer
set -euo pipefail

say() { printf '  %s\n' "$*" >&2; }
fail() { printf 'venv.sh: %s\n' "$*" >&2; exit 1; }

# Ctrl-C ends it at once, whatever is under way, and nothing is tried again. A command that takes long runs beside us,
# because bash would wait for its end before it looks at a signal; SIGTERM, because Python meets Ctrl-C with a traceback.
stop() { # STATUS
    trap '' INT TERM
    for child in $(jobs -p); do kill -TERM -- "-$child" 2>/dev/null || true; done
    printf '  venv.sh: interrupted\n' >&2
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM

interruptible() { # COMMAND...   its output and status are the command's
    local status=0
    set -m         # a process group of its own, which can be ended with all that it has started
    "$@" 9>&- &    # not the lock: what outlives us must not keep the next run out
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

command -v "$python" >/dev/null || fail "$python is not there: install Python 3.11 or newer (apt-get install python3)"
version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $version; Python 3.11 or newer is needed (set PYTHON=…)"

# The project's path is part of it: a moved checkout has an environment whose scripts point to where it was.
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

# Debian's python3 comes without ensurepip.
need_ensurepip() {
    local attempt
    if have_ensurepip; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "$python cannot make environments. As root: apt-get install -y python3-venv"
    fi
    say "installing python3-venv"
    for attempt in 1 2 3; do
        if apt_install python3-venv >/dev/null 2>&1; then break; fi
        [ "$attempt" = 3 ] || sleep $((attempt * 3))
    done
    have_ensurepip || fail "apt-get install -y python3-venv did not help: $python still has no ensurepip"
}

# pip has retries and timeouts of its own; the second attempt is for what they do not cover (a broken download).
pip_install() {
    local log=$venv/pip.log attempt
    local pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
    for attempt in 1 2; do
        if interruptible "${pip[@]}" install --retries 5 --timeout 30 "$@" >"$log" 2>&1; then return; fi
    done
    tail -n 20 "$log" >&2
    fail "pip install $* failed after $attempt attempts"
}

build() {
    need_ensurepip
    if [ "$(head -n 1 -- "$stamp" 2>/dev/null)" != "$version $venv" ]; then
        say ".venv: new, Python $version"
        rm -rf -- "$venv"
        interruptible "$python" -m venv "$venv"
    fi
    rm -f -- "$stamp"    # interrupted from here on, the next run makes .venv anew
    if [ -f "$requirements" ]; then
        say ".venv: installing deploy/requirements.txt"
        pip_install -r "$requirements"
    fi
    if [ -f "$project/pyproject.toml" ]; then
        say ".venv: installing the project"
        pip_install --no-deps -e "$project"
    fi
    fingerprint >"$stamp.partial"
    mv -f -- "$stamp.partial" "$stamp"
    say ".venv: done"
}

made() { [ "$(cat -- "$stamp" 2>/dev/null)" = "$(fingerprint)" ]; }

if made; then exit 0; fi
mkdir -p -- "$project/.tools"
exec 9>"$project/.tools/venv.lock"    # not in .venv, which is removed to be made again
if ! flock -n 9; then
    say "waiting for another run of venv.sh"
    flock -w 900 9 || fail "waited 15 minutes"
fi
if made; then exit 0; fi
build
