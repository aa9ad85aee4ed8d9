#!/usr/bin/env bash
# Installs what Medallion builds and runs with: Debian packages, Python wheels, the converted model. `make` calls it.
#
# Usage: tools/setup.sh [--tests|--watch]     (--tests adds what only the tests need, --watch what `make watch` needs)
#
# Swift itself comes from swift.org: in PATH, or unpacked in /opt/swift. It is looked at first, so that nobody waits for
# downloads that are of no use without it; the Debian packages below include the libraries that an unpacked toolchain lacks.
#
# Repeatable: what is there already is left alone, and then it takes well under a second. Works as root, or as an
# ordinary user, who needs sudo only while a Debian package is missing. Everything but those goes into .deps/.
# docs/troubleshooting.md lists every message of this script with its remedy.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/opt/swift/usr/bin"

# The version that is built and tested with. README.md, Package.swift and infra/Dockerfile name the same one.
swift_version=6.3

packages=(
    ca-certificates g++ libcld2-dev libcmark-gfm-dev libcmark-gfm-extensions-dev libcurl4-openssl-dev libevent-dev libgumbo-dev
    libhiredis-dev libicu-dev libisal-dev libjemalloc-dev liblz4-dev libpq-dev
    librdkafka-dev libsimdjson-dev libsnappy-dev libssl-dev libstemmer-dev libzstd-dev make pkg-config python3 python3-venv util-linux zstd
)
# What a toolchain runs with and links against, where it did not come as a package: its shared libraries, a C library and
# a C++ library with their headers, and a linker.
toolchain_packages=(
    binutils git libc6-dev libedit2 libgcc-12-dev libncurses6 libpython3.11 libsqlite3-0 libstdc++-12-dev libxml2 libz3-4 tzdata
    zlib1g-dev
)
# For releases with other versions of these.
toolchain_packages_elsewhere=(binutils git libncurses6 libxml2 tzdata zlib1g-dev)

# Measured on Debian 12 with two cores; they are said before the wait.
debian_megabytes=135
wheels_megabytes=330
wheels_disk_megabytes=900
free_megabytes_needed=4000

# Prometheus 2.42 knows all that monitoring/ uses.
watch_packages=(prometheus prometheus-alertmanager)
if [ "${1:-}" = "--tests" ]; then
    packages+=(chromium chromium-driver curl faketime jq kcat openssl pgbouncer redis-server wrk "${watch_packages[@]}")
    debian_megabytes=390
elif [ "${1:-}" = "--watch" ]; then
    packages+=("${watch_packages[@]}")
    debian_megabytes=190
elif [ $# -gt 0 ]; then
    echo "usage: tools/setup.sh [--tests|--watch]" >&2
    exit 64
fi

say() { echo "setup: $*"; }
fail() {
    echo "setup: $*" >&2
    echo "setup: docs/troubleshooting.md has more on this" >&2
    exit 1
}

# Prints the version; nothing where swift does not run.
running_swift_version() { swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1; }

# Sets swift_runs. A toolchain that does not start yet may only lack the libraries that are installed next.
look_at_swift() {
    local found older
    command -v swift >/dev/null || fail "swift is neither in PATH nor in /opt/swift/usr/bin: install Swift" \
        "$swift_version from swift.org, for example by unpacking its toolchain so that /opt/swift/usr/bin/swift is there"
    found=$(running_swift_version) || true
    swift_runs=false
    [ -n "$found" ] || return 0
    swift_runs=true
    case "$found" in "$swift_version" | "$swift_version".*) return 0 ;; esac
    older=$(printf '%s\n%s\n' "$found" "$swift_version" | sort -V | head -n 1)
    [ "$older" = "$swift_version" ] ||
        fail "$(command -v swift) is Swift $found, but $swift_version is needed: install that one from swift.org, or put it first in PATH"
    say "$(command -v swift) is Swift $found; $swift_version is what this was tested with"
}

# After the packages: the reason is the loader's or the program's own.
insist_on_swift() {
    local lacking
    look_at_swift
    ! $swift_runs || return 0
    lacking=$(ldd "$(readlink -f "$(command -v swift)")" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | xargs || true)
    fail "$(command -v swift) does not run: ${lacking:+these libraries are missing: $lacking. }$(swift --version 2>&1 | tail -n 1)"
}

choose_toolchain_packages() {
    local release=
    release=$(. /etc/os-release 2>/dev/null && echo "${ID:-}-${VERSION_ID:-}") || true
    if [ "$release" = debian-12 ]; then
        packages+=("${toolchain_packages[@]}")
    elif ! $swift_runs; then
        packages+=("${toolchain_packages_elsewhere[@]}")
    fi
}

# Sets missing.
find_missing_packages() {
    missing=()
    command -v dpkg-query >/dev/null || {
        say "this is not Debian; please see to these packages yourself: ${packages[*]}"
        return
    }
    mapfile -t missing < <(comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
            sed -n 's/^installed //p' | sort -u))
}

# How root's commands are run; empty for root.
sudo=()

# A stamp holds the hash of everything that a step's result depends on.
is_current() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

wheels_stamp() { echo "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])') $(sha256sum <tools/requirements.txt)"; }
model_stamp() { cat tools/convert_model.py tools/safetensors_file.py tools/requirements.txt | sha256sum; }

has_wheels() {
    local python
    python=$(find_python) && is_current .deps/venv/installed "$(wheels_stamp "$python")" && .deps/venv/bin/python -c '' 2>/dev/null
}
has_model() { is_current .deps/model/converted "$(model_stamp)" && [ -s .deps/model/model.json ]; }

# What is about to be downloaded, how much that is, and about how long it takes; nothing where nothing is missing.
announce() {
    local parts=() megabytes=0 seconds=0 size free minutes
    if [ ${#missing[@]} -gt 0 ]; then
        # Exact where apt has its lists already; they do not say everything where one package is in none of them.
        size=$(apt-get install -q -y --no-install-recommends --print-uris "${missing[@]}" 2>/dev/null |
            awk '/^\047/ { bytes += $3 } END { printf "%d", (bytes + 999999) / 1000000 }') || size=0
        [ "${size:-0}" -gt 0 ] || size=$debian_megabytes
        parts+=("${#missing[@]} Debian packages and what they need ($size MB)")
        megabytes=$size seconds=30
    fi
    if ! $wheels_are_there; then
        parts+=("Python wheels ($wheels_megabytes MB; $wheels_disk_megabytes MB on disk)")
        megabytes=$((megabytes + wheels_megabytes)) seconds=$((seconds + 40))
    fi
    if ! $model_is_there; then
        parts+=("the embedding model is converted (nothing to download)")
        seconds=$((seconds + 5))
    fi
    [ ${#parts[@]} -gt 0 ] || return 0
    size=$(printf '%s, ' "${parts[@]}")
    minutes=$(((seconds + megabytes * 8 / 100 + 59) / 60))
    say "missing: ${size%, }"
    say "this takes about $minutes min at 100 Mbit/s, once; the first build takes another 5 min on two cores"
    free=$(df -Pm . | awk 'NR == 2 { print $4 }')
    $wheels_are_there || [ "${free:-$free_megabytes_needed}" -ge "$free_megabytes_needed" ] ||
        fail "$free MB are free in $PWD, but set-up and build need $free_megabytes_needed MB: make room, or clone to a larger disk"
}

install_debian_packages() {
    [ ${#missing[@]} -gt 0 ] || return 0
    local updated=true
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "these Debian packages are missing, and sudo is not installed; as root, run: apt-get install -y --no-install-recommends ${missing[*]}"
        # Without a question where none is needed, else with one.
        sudo -n true 2>/dev/null || sudo -v ||
            fail "these Debian packages are missing, and sudo refuses $(id -un); as root, run: apt-get install -y --no-install-recommends ${missing[*]}"
        sudo=(sudo)
    fi
    say "installing Debian packages: ${missing[*]}"
    # Another apt may be at work; wait for it instead of failing.
    local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
    "${apt[@]}" update --error-on=any || {
        updated=false
        say "apt-get update failed; trying with the lists that are there"
    }
    hold_services
    if "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; then
        release_services
        return
    fi
    release_services
    $updated || fail "the Debian package index cannot be reached: look at the network and at /etc/apt, then run this again"
    fail "apt-get could not install: ${missing[*]}"
}

# Packages of servers start them, now and at every start of the machine; the tests want the programs alone. Debian asks
# policy-rc.d before it starts anything; where the machine has one already, that one decides.
policy=/usr/sbin/policy-rc.d
holds_services=false
hold_services() {
    [ ! -e "$policy" ] || return 0
    holds_services=true
    trap release_services EXIT
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod 755 "$policy"
}
release_services() {
    local service
    if $holds_services; then
        holds_services=false
        "${sudo[@]}" rm -f "$policy"
    fi
    command -v systemctl >/dev/null || return 0
    # Only those that came just now: what somebody runs already is theirs.
    for service in pgbouncer prometheus prometheus-alertmanager redis-server; do
        [[ " ${missing[*]} " != *" $service "* ]] || "${sudo[@]}" systemctl disable --quiet "$service" 2>/dev/null || true
    done
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
    return 1
}

install_wheels() {
    local python wanted
    python=$(find_python) || fail "python3 3.11 or later with venv is needed (Debian: apt-get install python3 python3-venv)"
    wanted=$(wheels_stamp "$python")
    say "installing Python wheels into .deps/venv"
    # A venv has absolute paths inside, so one that was moved or half-made is replaced.
    "$python" -m venv --clear .deps/venv
    .deps/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
        --require-hashes --no-deps --only-binary :all: -r tools/requirements.txt ||
        fail "pip could not install tools/requirements.txt: is the Python package index reachable? (PIP_INDEX_URL, PIP_PROXY and PIP_CERT are read)"
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
    say "converting the embedding model into .deps/model"
    .deps/venv/bin/python tools/convert_model.py .deps/model || fail "the model could not be converted"
    model_stamp >.deps/model/converted
}

look_at_swift
mkdir -p .deps
# Two at once (a build and a test, say) would install over each other.
if command -v flock >/dev/null; then
    exec 9>.deps/lock
    flock -w 600 9 || fail "another setup has been running for ten minutes; if not, remove .deps/lock"
fi

choose_toolchain_packages
find_missing_packages
wheels_are_there=true model_is_there=true
has_wheels || wheels_are_there=false
has_model || model_is_there=false
announce
install_debian_packages
$swift_runs || insist_on_swift
$wheels_are_there || install_wheels
link_openvino
$model_is_there || convert_model
