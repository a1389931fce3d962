#!/usr/bin/env bash
# build.sh [DIR]
# build.sh --base
#
# Builds the Debian package of this checkout into DIR (default: dist). It holds everything but Python and Asterisk: the
# packages of deploy/runtime.txt, each with its SHA-256, and the project's wheel, in /usr/lib/rented-numbers. It fits the
# Debian release whose Python builds it. The packages are kept in .tools, so that only the first build fetches them, or
# --base, which does nothing else.
#
#   DEB_PYTHON        Debian's Python (default: /usr/bin/python3)
set -euo pipefail

fail() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
project=$(cd -- "$here/../.." && pwd)
target=${1:-$project/dist}
python=${DEB_PYTHON:-/usr/bin/python3}
ours=$project/.venv/bin/python
base=$project/.tools/deb-base
home=/usr/lib/rented-numbers
command -v dpkg-deb >/dev/null || fail "dpkg-deb is missing: this script needs Debian"
[ -x "$ours" ] || fail "there is no .venv: run make venv first"

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
chmod 755 "$work"

# The environment without the project, compiled. Its Python is a link to Debian's, whose security updates it gets.
make_base() {
    local wanted
    wanted=$("$python" --version && sha256sum <"$project/deploy/runtime.txt")
    if [ "$(cat -- "$base.made" 2>/dev/null)" = "$wanted" ]; then return; fi
    rm -rf -- "$base" "$base.made"
    "$python" -m venv --without-pip "$base"
    "${pip[@]}" "$base/bin/python3" install --require-hashes --only-binary :all: --no-compile \
        -r "$project/deploy/runtime.txt"
    compile "$base" "$base/lib"
    printf '%s\n' "$wanted" >"$base.made"
}

# Not checked against the sources' times later, because the service must not write into its program.
compile() { # ROOT DIRECTORY...   where ROOT stands for the place in which the package is installed
    "$python" -m compileall -q -s "$1" -p "$home" --invalidation-mode unchecked-hash "${@:2}"
}

copy() { install -D -m 644 "$@"; }

[ "$("$python" -c 'import sys; print(sys.base_prefix)')" = /usr ] || fail "$python is not Debian's: set DEB_PYTHON"
pip=("$ours" -m pip --disable-pip-version-check --no-input --quiet --python)
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$project" log -1 --format=%ct 2>/dev/null || date +%s)}
exec 9>"$base.lock"
flock -w 900 9 || fail "another build did not finish within 15 minutes"
make_base
exec 9>&-
if [ "$target" = --base ]; then exit; fi

root=$work/root
mkdir -p -- "$root/usr/lib"
cp -a -- "$base" "$root$home"
"$ours" -m hatchling build -t wheel -d "$work" >/dev/null 2>&1 || fail "the wheel cannot be built"
"${pip[@]}" "$root$home/bin/python3" install --no-index --no-deps --no-compile "$work"/*.whl
version=$("$ours" -m hatchling version)
version=${version/.dev/\~dev}    # which sorts before the release

# What the place of the build would show.
find "$root$home/bin" -mindepth 1 ! -name 'python*' -delete
sed -i '/^command = /d' "$root$home/pyvenv.cfg"
find "$root$home" -path '*.dist-info/*' \( -name RECORD -o -name INSTALLER -o -name direct_url.json \) -delete
printf '#!%s/bin/python3 -I\nfrom engine.cli import main\n\nmain()\n' "$home" >"$root$home/bin/rented-numbers"
chmod 755 "$root$home/bin/rented-numbers"
compile "$root$home" "$root$home"/lib/python3*/site-packages/{engine,api,agi_scripts}

deploy=$home/share/rented-numbers/deploy
install -D -m 755 "$here/rented-numbers" "$root/usr/bin/rented-numbers"
copy "$project/deploy/rented-numbers.toml" "$root/etc/rented-numbers/rented-numbers.toml"
copy "$project/deploy/systemd/rented-numbers.service" "$root/lib/systemd/system/rented-numbers.service"
copy "$project/deploy/systemd/sysusers.conf" "$root/usr/lib/sysusers.d/rented-numbers.conf"
copy "$project/deploy/systemd/tmpfiles.conf" "$root/usr/lib/tmpfiles.d/rented-numbers.conf"
documents=$root/usr/share/doc/rented-numbers
for document in "$project"/docs/*.md "$project/README.md"; do copy "$document" "$documents/$(basename -- "$document")"; done
copy -t "$documents" "$here/copyright" "$here/README.Debian"
gzip -9nc "$project/CHANGELOG.md" >"$documents/changelog.gz"
ln -s "../../../..$deploy" "$documents/examples"

minor=$("$python" -c 'import sys; print(sys.version_info[1])')
mkdir -- "$root/DEBIAN"
sed -e "s/@version@/$version/; s/@architecture@/$(dpkg --print-architecture)/" \
    -e "s/@python@/python3 (>= 3.$minor), python3 (<< 3.$((minor + 1)))/" \
    -e "s/@size@/$(du -sk --apparent-size -- "$root" | cut -f1)/" "$here/control.in" >"$root/DEBIAN/control"
echo /etc/rented-numbers/rented-numbers.toml >"$root/DEBIAN/conffiles"
copy "$here/triggers" "$root/DEBIAN/triggers"
install -m 755 "$here"/{postinst,prerm,postrm} "$root/DEBIAN/"
chmod -R u=rwX,go=rX "$root"
# The same checkout gives the same package, wherever and whenever it is built.
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p -- "$target"
dpkg-deb --root-owner-group -Zzstd --build "$root" "$target" >&2
