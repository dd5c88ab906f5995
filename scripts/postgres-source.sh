#!/usr/bin/env bash
# Fetches the source of a major version of PostgreSQL from Debian, once, and prints its folder.
#
#   scripts/postgres-source.sh 15
#
# Of the source, only the regression tests are kept. Debian's signature is checked by apt. Nothing is built or installed, and no setting of the system is changed.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'postgres-source: %s\n' "$*" >&2; }

major=$1
folder=$PWD/target/postgres-source/$major
if [ ! -d "$folder" ]; then
    mkdir -p target/postgres-source
    work=$(mktemp -d "$folder.XXXXXX")
    # shellcheck disable=SC2064 # its value now
    trap "rm -rf '$work'" EXIT
    mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/source"
    # shellcheck disable=SC1091 # the system's
    . /etc/os-release
    printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian %s main\n' \
        "$VERSION_CODENAME" >"$work/list"
    apt() {
        apt-get -qq -o Dir::Etc::sourcelist="$work/list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists" \
            -o Dir::Cache="$work" -o APT::Sandbox::User=root "$@" >&2
    }
    say "fetching the source of postgresql-$major"
    apt update || { say "Debian's archive cannot be reached; it is needed once"; exit 1; }
    (cd "$work/source" && apt source --download-only "postgresql-$major") ||
        { say "Debian $VERSION_CODENAME has no source of postgresql-$major"; exit 1; }
    mkdir "$work/tree"
    tar -xf "$work"/source/*.orig.tar.* -C "$work/tree" --strip-components=1 --wildcards '*/src/test/regress'
    mv "$work/tree" "$folder"
    chmod -R a+rX "$folder"
fi
printf '%s\n' "$folder"
