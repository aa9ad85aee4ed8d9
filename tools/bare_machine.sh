#!/usr/bin/env bash
# Tries the two commands of README.md on a machine that has nothing: a fresh Debian 12 (debootstrap, minbase), an ordinary
# user with sudo, this checkout's last commit, and the Swift toolchain unpacked in /opt/swift. It finds what a developer's
# machine hides: a package that happens to be installed there.
#
# Usage: tools/bare_machine.sh                       make demo (DEMO_SECONDS, 60), then make test
#        tools/bare_machine.sh --demo-only           make demo
#        tools/bare_machine.sh -- COMMAND…           these instead, each a line for the user's shell
#   --keep          leave the folder, and name it (nothing stays mounted)
#   --root FOLDER   go on in a kept one, as it is
#
# Takes root, debootstrap, 12 GB in TMPDIR (/var/tmp), and the swift of PATH or /opt/swift. The new machine gets this one's
# name servers, Debian mirror, certificates, and its settings of apt, pip and proxies, so that it reaches the same places.
# It shares this machine's network: API_LISTEN and BROKER_LISTEN are passed on, in case that a port is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/opt/swift/usr/bin"

say() { echo "bare machine: $*"; }
fail() {
    echo "bare machine: $*" >&2
    exit 1
}

commands=("DEMO_SECONDS=${DEMO_SECONDS:-60} make demo" "make test")
keep=false root=
while [ $# -gt 0 ]; do
    case "$1" in
    --demo-only) commands=("${commands[0]}") ;;
    --keep) keep=true ;;
    --root) root=${2:?--root needs a folder} keep=true && shift ;;
    --) shift && commands=("$@") && break ;;
    *) sed -n 's/^# \{0,1\}//p' "$0" | sed -n '6,10p' >&2 && exit 64 ;;
    esac
    shift
done

[ "$(id -u)" -eq 0 ] || fail "run it as root: it mounts, and changes its root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
command -v swift >/dev/null || fail "there is no Swift toolchain in PATH or /opt/swift to lend"
# …/usr/bin/swift → …, what an unpacked toolchain is.
toolchain=$(readlink -f "$(command -v swift)")
toolchain=${toolchain%/usr/bin/*}
[ -n "$toolchain" ] ||
    fail "$(command -v swift) belongs to this machine as a whole and cannot be lent; unpack a toolchain in /opt/swift and put it first in PATH"
[ -d "$toolchain/usr/lib/swift" ] || fail "$toolchain is not an unpacked toolchain"

remove_machine() {
    if $keep; then
        say "kept: $root"
    elif findmnt --noheadings --list --output TARGET | grep -qF "$root"; then
        fail "something is still mounted below $root; unmount it, then remove the folder"
    else
        # Stays on this file system, should findmnt have missed one.
        rm -rf --one-file-system "$root"
    fi
}

# All mounts are of a namespace of their own, which ends with this script however it ends; so do the processes.
if [ -z "${BARE_MACHINE_INSIDE:-}" ]; then
    if [ -z "$root" ]; then
        root=$(mktemp -d "${TMPDIR:-/var/tmp}/medallion-bare.XXXXXX")
        # It becomes the folder / of an ordinary user.
        chmod 0755 "$root"
    else
        [ -e "$root/etc/debian_version" ] || fail "$root holds no machine"
        root=$(cd "$root" && pwd -P)
    fi
    trap remove_machine EXIT
    BARE_MACHINE_INSIDE=1 unshare --mount --propagation private --pid --fork --kill-child \
        "$PWD/tools/bare_machine.sh" --root "$root" -- "${commands[@]}"
    exit
fi

mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | head -n 1
}

make_machine() {
    local source
    source=$(mirror) || true
    say "debootstrap of Debian 12, minbase"
    # make, since it is what the commands start with; sudo, since the user has it.
    debootstrap --variant=minbase --include=make,sudo bookworm "$root" ${source:+"$source"} >"$root.log" 2>&1 ||
        fail "debootstrap failed; its output is in $root.log"
    rm -f "$root.log"
    if [ -e /etc/apt/sources.list.d/debian.sources ]; then
        : >"$root/etc/apt/sources.list"
        cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/"
    elif [ -s /etc/apt/sources.list ]; then
        cp /etc/apt/sources.list "$root/etc/apt/"
    fi
    # How things are fetched: proxies, retries, certificates.
    apt-config dump | grep -E '^Acquire::(https?|Retries|ForceIPv)' | grep -v ' "";$' >"$root/etc/apt/apt.conf.d/80fetching" || true
    chroot "$root" useradd --create-home --home-dir /srv/person --shell /bin/bash --groups sudo person
    {
        echo 'person ALL=(ALL) NOPASSWD: ALL'
        echo 'Defaults env_keep += "http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY"'
    } >"$root/etc/sudoers.d/person"
    chmod 0440 "$root/etc/sudoers.d/person"
    mkdir -p "$root/srv/person/medallion" "$root/opt/swift"
    git archive HEAD | tar -x -C "$root/srv/person/medallion"
    chroot "$root" chown -R person: /srv/person
}

copy_surroundings() {
    local file
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
        [ ! -e "$file" ] || cp -L "$file" "$root$file"
    done
    # Not the bundle's own path, which the package ca-certificates writes.
    [ ! -e /etc/ssl/certs/ca-certificates.crt ] || install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/outer.crt"
}

# Sets environment: what says how to reach the network. Folders of this machine are not there, so no variable names one.
collect_environment() {
    local name value
    environment=(HOME=/srv/person USER=person LOGNAME=person LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin)
    for name in $(compgen -e); do
        value=${!name}
        case "$name" in
        PIP_CERT | SSL_CERT_FILE | REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE) environment+=("$name=/etc/ssl/outer.crt") ;;
        PIP_* | [Hh][Tt][Tt][Pp]_[Pp][Rr][Oo][Xx][Yy] | [Hh][Tt][Tt][Pp][Ss]_[Pp][Rr][Oo][Xx][Yy] | [Nn][Oo]_[Pp][Rr][Oo][Xx][Yy])
            [ "${value#/}" != "$value" ] || environment+=("$name=$value")
            ;;
        API_LISTEN | BROKER_LISTEN) environment+=("$name=$value") ;;
        esac
    done
}

mount_all() {
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount --bind /dev "$root/dev"
    mount --bind /dev/pts "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mount --bind "$toolchain" "$root/opt/swift"
    mount -o remount,bind,ro "$root/opt/swift"
}

[ -e "$root/etc/debian_version" ] || make_machine
copy_surroundings
collect_environment
mount_all
person=$(chroot "$root" id -u person)
for command in "${commands[@]}"; do
    say "\$ $command"
    begun=$SECONDS
    chroot --userspec="$person:$person" "$root" /usr/bin/env -i "${environment[@]}" \
        bash -c "cd ~/medallion && $command" </dev/null || fail "“${command}” ended with $? after $((SECONDS - begun)) s"
    say "“${command}” succeeded after $((SECONDS - begun)) s"
done
