#!/usr/bin/env bash
# venv.sh: makes the Python environment in which the bench runs itself and the servers, and prints its interpreter.
#
# Users run the distribution's Python, which is optimised with a profile; one that pyenv has compiled usually is not, and
# takes up to half as much CPU again. So the bench takes /usr/bin/python3 where it is new enough, with the same pinned
# packages as .venv, in .tools/bench-venv. Elsewhere it runs in .venv, and says so.
#
#   BENCH_PYTHON   another interpreter
set -euo pipefail

fail() { printf 'bench/venv.sh: %s\n' "$*" >&2; exit 1; }

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$project/.tools/bench-venv
requirements=$project/deploy/requirements.txt
python=${BENCH_PYTHON:-/usr/bin/python3}

usable() { "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if ! usable; then
    if [ -n "${BENCH_PYTHON:-}" ]; then fail "$python is missing, older than 3.11, or has no ensurepip"; fi
    printf '%s\n' "$project/.venv/bin/python"
    exit 0
fi

stamp=$venv/.made
fingerprint() {
    printf '%s\n' "$venv"
    "$python" -VV
    sha256sum <"$project/pyproject.toml"
    sha256sum <"$requirements"
}
if [ "$(cat -- "$stamp" 2>/dev/null)" != "$(fingerprint)" ]; then
    printf '  .tools/bench-venv: creating, with %s\n' "$("$python" -V)" >&2
    rm -rf -- "$venv"
    "$python" -m venv "$venv"
    pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input --quiet install)
    { "${pip[@]}" --retries 5 --require-hashes --only-binary :all: --requirement "$requirements" &&
        "${pip[@]}" --no-index --no-build-isolation --no-deps --editable "$project"; } >"$venv/pip.log" 2>&1 ||
        { tail -n 20 "$venv/pip.log" >&2; fail "pip failed"; }
    fingerprint >"$stamp"
fi
printf '%s\n' "$venv/bin/python"
