#!/usr/bin/env bash
# release.sh [DIR]
#
# Writes the files of a release into DIR (default: dist), which is emptied first: the wheel, the source, the Debian
# package, the pinned requirements with their hashes, the list of parts (SBOM, CycloneDX), the notes of CHANGELOG.md, and
# the SHA-256 of all of them. Nothing is published.
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
target=${1:-$project/dist}
python=$project/.venv/bin/python
cd -- "$project"
version=$("$python" -m hatchling version)

rm -rf -- "$target"
mkdir -p -- "$target"
"$python" -m hatchling build -t sdist -t wheel -d "$target" >/dev/null
deploy/debian/build.sh "$target"
cp -- deploy/runtime.txt "$target/rented-numbers-$version-requirements.txt"
"$python" -m docs.generate.release "$target"
cd -- "$target"
rm -f -- .gitignore    # hatchling's
sha256sum -- * >SHA256SUMS
printf '  %s\n' "$target"/* >&2
