#!/usr/bin/env bash
# debian-tree.sh SUITE DIR PACKAGE...
#
# Unpacks packages of a Debian suite and their dependencies into DIR, without root, chroot or container. The machine's
# own package database is neither read nor changed. No maintainer script runs. Start a program of the tree through the
# tree's own loader (see tools.sh). A second run with the same arguments returns at once.
# With --mirror alone it prints where it would download from.
#
#   DEBIAN_MIRROR   where to download from (default: the mirror that apt uses on this machine)
#   DEBIAN_STALE    `accept`: take packages from a mirror whose Release file has passed its date
set -euo pipefail

say() { printf '  %s\n' "$*" >&2; }
fail() { printf 'debian-tree.sh: %s\n' "$*" >&2; exit 1; }

# Ctrl-C ends the script at once, without a retry; see venv.sh.
stop() { # STATUS
    trap '' INT TERM
    for child in $(jobs -p); do kill -TERM -- "-$child" 2>/dev/null || true; done
    say "interrupted"
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM

interruptible() { # COMMAND...
    local status=0
    set -m
    "$@" 9>&- &
    child=$!
    set +m
    wait "$child" || status=$?
    return "$status"
}

[ "$*" = --mirror ] || [ $# -ge 3 ] || fail "usage: debian-tree.sh SUITE DIR PACKAGE..."
for program in apt-get dpkg flock; do
    command -v "$program" >/dev/null || fail "$program is missing: this script needs Debian"
done

# Prints the mirror of the machine's own Debian release. Without --no-release-info apt lists nothing before the first
# `apt-get update`. Only component main counts: other vendors' repositories use the codename of the release too.
find_mirror() {
    local codename
    codename=$(sed -nE 's/^VERSION_CODENAME="?([^"]*)"?$/\1/p' /etc/os-release)
    # shellcheck disable=SC2016  # apt expands these
    apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$codename" '
            $2 != "main" || mirror { next }
            $1 == codename || $1 ~ /^(oldstable|stable|testing|unstable|sid)$/ { mirror = $3 }
            END { print mirror }'
}

if [ "$*" = --mirror ]; then
    printf '%s\n' "${DEBIAN_MIRROR:-$(find_mirror)}"
    exit
fi

suite=$1
mkdir -p -- "$(dirname -- "$2")"
dir=$(cd -- "$(dirname -- "$2")" && pwd)/$(basename -- "$2")
shift 2
wanted="$suite $*"
partial=$dir.partial
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Configures a separate apt whose sources, state and cache are in the partial tree. apt reads this file after the
# machine's own configuration: proxy and certificates stay, hooks and pins are removed.
write_apt_configuration() {
    mkdir -p -- "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    printf 'deb [arch=%s signed-by=%s target=Packages] %s %s main\n' "$arch" "$keyring" "$mirror" "$suite" \
        >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Debug::NoLocking "true";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::State::extended_states "$apt/extended_states";
Dir::Cache "$apt/cache";
Dir::Cache::archives "$apt/cache/archives";
Acquire::Check-Valid-Until "true";
Acquire::Check-Date "true";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
END
}

# Three attempts, in addition to apt's own: a mirror that is being updated causes hash mismatches, which a pause cures.
retry() {
    local attempt
    for attempt in 1 2 3; do
        if interruptible "$@" >"$apt/log" 2>&1; then return 0; fi
        [ "$attempt" = 3 ] || { say "attempt $attempt failed, trying again"; sleep $((attempt * 3)); }
    done
    tail -n 15 "$apt/log" >&2
    fail "failed: $*"
}

# A Release file that has passed its date may be an old one that somebody serves again, to withhold what was mended
# since. It is taken only from a mirror that the machine's own apt takes it from, or if DEBIAN_STALE says so.
accepts_stale() {
    local until date
    eval "$(apt-config shell until Acquire::Check-Valid-Until/b date Acquire::Check-Date/b)"
    [ "${DEBIAN_STALE:-}" = accept ] || [ "${until:-true}" = false ] || [ "${date:-true}" = false ]
}

read_lists() {
    local update=(env LC_ALL=C apt-get -c "$apt/apt.conf" -o APT::Update::Error-Mode=any update) since
    if interruptible "${update[@]}" >"$apt/log" 2>&1; then return; fi
    since=$(sed -nE 's/.*Release file .* is expired \(invalid since ([^)]*)\).*/\1/p' "$apt/log" | head -n 1)
    if [ -z "$since" ]; then
        retry "${update[@]}"
        return
    fi
    accepts_stale ||
        fail "the mirror's Release file of Debian $suite passed its date $since ago, so security updates may be missing." \
            "Choose another mirror (DEBIAN_MIRROR=http://…/debian), or accept that: DEBIAN_STALE=accept"
    say "WARNING: the mirror's Release file of Debian $suite passed its date $since ago. Its signature is right, and it is" \
        "accepted, but security updates may be missing"
    retry "${update[@]}" -o Acquire::Check-Valid-Until=false
}

build() {
    local count package
    mirror=${DEBIAN_MIRROR:-$(find_mirror)}
    [ -n "$mirror" ] || fail "apt has no Debian mirror configured: set DEBIAN_MIRROR=http://…/debian"
    [ -r "$keyring" ] || fail "$keyring is missing: install the package debian-archive-keyring"
    arch=$(dpkg --print-architecture)
    rm -rf -- "$partial"
    apt=$partial/.apt
    write_apt_configuration

    say "$(basename -- "$dir"): reading the package list of Debian $suite"
    read_lists
    say "$(basename -- "$dir"): downloading $*"
    retry apt-get -c "$apt/apt.conf" -y --download-only install "$@"
    count=$(find "$apt/cache/archives" -maxdepth 1 -name '*.deb' | wc -l)
    say "$(basename -- "$dir"): unpacking $count packages"
    for package in "$apt"/cache/archives/*.deb; do
        dpkg -x "$package" "$partial"
    done
    rm -rf -- "$apt"

    printf '%s\n' "$wanted" >"$partial/.unpacked"
    rm -rf -- "$dir"
    mv -- "$partial" "$dir"
    say "$(basename -- "$dir"): done, $(du -sm -- "$dir" | cut -f1) MB"
}

unpacked() { [ "$(cat -- "$dir/.unpacked" 2>/dev/null)" = "$wanted" ]; }

if unpacked; then exit 0; fi
exec 9>"$dir.lock"
if ! flock -n 9; then
    say "waiting for another run of this script for $(basename -- "$dir")"
    flock -w 900 9 || fail "the other run did not finish within 15 minutes"
fi
if unpacked; then exit 0; fi
build "$@"
