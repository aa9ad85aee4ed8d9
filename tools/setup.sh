#!/usr/bin/env bash
# Installs what Medallion builds and runs with: Debian packages, Python wheels, the converted model. `make` calls it.
#
# Usage: tools/setup.sh [--tests]     (--tests adds what only the tests need)
#
# Repeatable: what is there already is left alone, and then it takes well under a second. Works as root, or as an
# ordinary user, who needs sudo only while a Debian package is missing. Everything but those goes into .deps/.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    libcurl4-openssl-dev libevent-dev libisal-dev libjemalloc-dev liblz4-dev libpq-dev librdkafka-dev libsimdjson-dev libsnappy-dev
    libssl-dev libzstd-dev
    pkg-config python3 python3-venv zstd
)
if [ "${1:-}" = "--tests" ]; then
    packages+=(chromium chromium-driver curl jq kcat openssl wrk)
elif [ $# -gt 0 ]; then
    echo "usage: tools/setup.sh [--tests]" >&2
    exit 64
fi

say() { echo "setup: $*"; }
fail() {
    echo "setup: $*" >&2
    exit 1
}

install_debian_packages() {
    command -v dpkg-query >/dev/null || {
        say "this is not Debian; please see to these packages yourself: ${packages[*]}"
        return
    }
    local missing=() sudo=()
    mapfile -t missing < <(comm -23 <(printf '%s\n' "${packages[@]}" | sort) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
            sed -n 's/^installed //p' | sort))
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing Debian packages: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "as root, run: apt-get install -y ${missing[*]}"
        sudo=(sudo)
    fi
    # Another apt may be at work; wait for it instead of failing.
    local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update -q || say "apt-get update failed; trying with the lists that are there"
    "${apt[@]}" install -q -y --no-install-recommends "${missing[@]}" ||
        fail "apt-get could not install: ${missing[*]}"
}

# Debian's python3 rather than whatever comes first in PATH, so that the venv does not hang on somebody's pyenv.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "python3 3.11 or later with venv is needed (Debian: apt-get install python3 python3-venv)"
}

# A stamp holds the hash of everything that a step's result depends on.
is_current() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

install_wheels() {
    local python wanted
    python=$(find_python)
    wanted="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') $(sha256sum <tools/requirements.txt)"
    if is_current .deps/venv/installed "$wanted" && .deps/venv/bin/python -c '' 2>/dev/null; then return; fi
    say "installing Python wheels into .deps/venv"
    # A venv has absolute paths inside, so one that was moved or half-made is made anew.
    "$python" -m venv --clear .deps/venv
    .deps/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
        --require-hashes --no-deps --only-binary :all: -r tools/requirements.txt ||
        fail "pip could not install tools/requirements.txt; is the package index reachable?"
    echo "$wanted" >.deps/venv/installed
}

# Lets the compiler find OpenVINO's headers, and the program its library, at paths that do not name a version.
link_openvino() {
    local folder library
    folder=$(cd .deps && echo venv/lib/python3.*/site-packages/openvino)
    [ -d ".deps/$folder/include" ] || fail "the openvino wheel is not in .deps/venv; remove .deps/venv and try again"
    [ "$(readlink .deps/openvino || true)" = "$folder" ] || ln -sfn "$folder" .deps/openvino
    library=$(cd .deps/openvino/libs && echo libopenvino_c.so.*)
    [ "$(readlink .deps/openvino/libs/libopenvino_c.so || true)" = "$library" ] ||
        ln -sfn "$library" .deps/openvino/libs/libopenvino_c.so
    mkdir -p .deps/pkgconfig
    local text="prefix=\${pcfiledir}/../openvino
Name: openvino_c
Description: OpenVINO's C API, from the Python wheel
Version: ${library##*.}
Cflags: -I\${prefix}/include"
    is_current .deps/pkgconfig/openvino_c.pc "$text" || echo "$text" >.deps/pkgconfig/openvino_c.pc
}

convert_model() {
    local wanted
    wanted=$(cat tools/convert_model.py tools/safetensors_file.py tools/requirements.txt | sha256sum)
    if is_current .deps/model/converted "$wanted" && [ -s .deps/model/model.json ]; then return; fi
    say "converting the embedding model into .deps/model"
    .deps/venv/bin/python tools/convert_model.py .deps/model || fail "the model could not be converted"
    echo "$wanted" >.deps/model/converted
}

mkdir -p .deps
# Two at once (a build and a test, say) would install over each other.
exec 9>.deps/lock
flock -w 600 9 || fail "another setup has been running for ten minutes; if not, remove .deps/lock"

install_debian_packages
install_wheels
link_openvino
convert_model
command -v swift >/dev/null || fail "swift is not in PATH; install the Swift 6.1 (or later) toolchain from swift.org"
