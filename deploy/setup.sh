#!/usr/bin/env bash
# Prepares a machine: `setup.sh programs` (Java, Maven, Python's venv), `setup.sh venv` (everything Python, by hash),
# `setup.sh test-tools` (kcat and promtool for tests of foreign clients). Says what to do where it may not do it itself.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

python_3_11() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3 python; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 is needed; set PYTHON=/path/to/python3.11 if it has another name"
}

apt_install() { # PACKAGE...: with apt where we may, else words for a person
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "missing; install it and run this again: apt-get install $*"
    fi
    say "installing $*"
    local options=(-y -qq --no-install-recommends -o Dpkg::Use-Pty=0)
    DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" >/dev/null 2>&1 && return
    apt-get update -qq || fail "apt-get update failed; install by hand: $*"
    DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" >/dev/null || fail "could not install $*"
}

programs() {
    local python
    python=$(python_3_11)
    if ! java -version 2>&1 | grep -Eq 'version "(1[7-9]|[2-9][0-9])'; then apt_install openjdk-17-jre-headless; fi
    command -v mvn >/dev/null || apt_install maven
    "$python" -c 'import venv, ensurepip' 2>/dev/null || apt_install python3.11-venv
}

venv() {
    local stamp wanted python
    stamp="$VENV/.kairos-installed"
    wanted=$(cat requirements.txt pyproject.toml | sha256sum)
    if [ -x "$VENV/bin/kairos" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    python=$(python_3_11)
    say "installing the Python packages into $VENV (once; about a minute)"
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
    mkdir -p var
    "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
        --require-hashes --no-deps -r requirements.txt 2>&1 | tee var/setup.log | count_packages ||
        fail "pip failed: $(tail -n 3 var/setup.log | tr '\n' ' ')(all of it: var/setup.log)"
    "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet \
        --no-deps --no-build-isolation --no-index -e .
    say "compiling the detector's kernels (once; half a minute)"
    "$VENV/bin/kairos" rules check --compile >>var/setup.log 2>&1 || say "left to the first start; see var/setup.log"
    printf '%s\n' "$wanted" >"$stamp"
    say "ready: $VENV/bin/kairos"
}

count_packages() { # shows how far pip is: a counter on a terminal, a line now and then elsewhere
    awk -v total="$(grep -c '==' requirements.txt)" -v tty="$([ -t 2 ] && echo 1 || echo 0)" '
        /^(Collecting|Requirement already satisfied)/ {
            count++
            if (tty) printf "\r  %d of %d packages", count, total > "/dev/stderr"
            else if (count % 25 == 0 || count == total) printf "  %d of %d packages\n", count, total > "/dev/stderr"
        }
        /^Installing collected packages/ { printf "%s  unpacking\n", (tty ? "\r\033[K" : "") > "/dev/stderr" }'
}

test_tools() {
    local tools=var/tools
    command -v kcat >/dev/null || apt_install kcat
    if command -v promtool >/dev/null || [ -x "$tools/promtool" ]; then return; fi
    # Only the one program is taken out of the package: installing it would start a server.
    command -v apt-get >/dev/null || fail "promtool is missing; put it on the path"
    say "fetching promtool"
    mkdir -p "$tools"
    local scratch
    scratch=$(mktemp -d)
    chmod 755 "$scratch"
    (cd "$scratch" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } 2>/dev/null) ||
        fail "could not download the package prometheus; put promtool on the path"
    dpkg -x "$scratch"/prometheus_*.deb "$scratch/content"
    install -m 755 "$scratch/content/usr/bin/promtool" "$tools/promtool"
    rm -rf "$scratch"
}

case "${1:-}" in
programs) programs ;;
venv) venv ;;
test-tools) test_tools ;;
*) fail "usage: setup.sh programs | venv | test-tools" ;;
esac
