#!/usr/bin/env bash
# Installs what `medallion bench search` is held against into .deps/peers: FastAPI, sentence-transformers with torch, LanceDB. `make
# setup-peers` calls it. Nothing else needs it.
#
# Repeatable: what is there already is left alone. torch comes with NVIDIA's libraries, which it does not start without: 3 GB to
# download, 7 GB on disk.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "setup-peers: $*" >&2
    exit 1
}

python=/usr/bin/python3
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || python=python3
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "python3 3.11 or later with venv is needed (Debian: apt-get install python3 python3-venv)"

wanted="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') $(sha256sum <tools/peers/requirements.txt)"
stamp=.deps/peers/installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .deps/peers/bin/python -c '' 2>/dev/null; then
    exit 0
fi

free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "${free:-0}" -ge 12000 ] || fail "$free MB are free in $PWD, but 12000 MB are needed"
echo "setup-peers: installing Python wheels into .deps/peers (3 GB to download, 7 GB on disk)"
mkdir -p .deps
# A venv has absolute paths inside, so one that was moved or half-made is replaced.
"$python" -m venv --clear .deps/peers
.deps/peers/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
    --require-hashes --no-deps --only-binary :all: -r tools/peers/requirements.txt ||
    fail "pip could not install tools/peers/requirements.txt: is the Python package index reachable? (PIP_INDEX_URL, PIP_PROXY and PIP_CERT are read)"
echo "$wanted" >"$stamp"
