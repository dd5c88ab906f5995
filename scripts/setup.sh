#!/usr/bin/env bash
# Installs from the system's packages what is missing. Does nothing, and says nothing, when all is there.
#
#   scripts/setup.sh run     PostgreSQL's server and client, a C compiler
#   scripts/setup.sh demo    and HypoPG, with which the planner is asked about indexes that are not there
#   scripts/setup.sh test    and what the driver suites need: Python with venv, Node.js with npm
#   scripts/setup.sh jdbc    a JDK and PostgreSQL's driver for it
#   scripts/setup.sh fuzz    and libFuzzer's own needs: a C++ compiler
#   scripts/setup.sh instructions   a compiler and valgrind
#   scripts/setup.sh pages   a browser that looks at reports
#   scripts/setup.sh bench   and what to compare with: pgbouncer, haproxy, pgpool2, Redis
#   scripts/setup.sh bench-advice   HypoPG, Python with a driver and TPC-H's data, and the gem pgdexter where it can be had
set -euo pipefail

missing=()

have() { command -v "$1" >/dev/null 2>&1; }

# need PACKAGE...: marks packages for installation.
need() { missing+=("$@"); }

# say MESSAGE: to the terminal, without disturbing who reads our output.
say() { printf 'setup: %s\n' "$*" >&2; }

have_postgres() {
    have initdb && have pgbench || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

check_run() {
    have cargo || { say 'Rust is missing; install it from https://rustup.rs, then run this again'; exit 1; }
    have_postgres || need postgresql postgresql-contrib
    have psql || need postgresql-client
    have cc || need build-essential
    # PostgreSQL refuses to run as root; the scripts then become the user postgres.
    have setpriv || need util-linux
}

check_demo() {
    check_run
    compgen -G '/usr/share/postgresql/*/extension/hypopg.control' >/dev/null || need "$(hypopg_package)"
}

check_test() {
    check_run
    { have python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; } || need python3 python3-venv
    have node || need nodejs
    have npm || need npm
    # Counts system calls.
    have strace || need strace
    have pkill || need procps
    # Advice is tested with it; the package is named after the version of the server that is installed, or about to be.
    compgen -G '/usr/share/postgresql/*/extension/hypopg.control' >/dev/null || need "$(hypopg_package)"
}

# The package of HypoPG for the newest server that is installed, or else for the one that would be.
hypopg_package() {
    local version
    version=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | cut -d/ -f5 | sort -n | tail -1)
    [ -n "$version" ] || version=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1)
    printf 'postgresql-%s-hypopg\n' "${version:-15}"
}

check_jdbc() {
    have javac || need default-jdk-headless
    [ -e /usr/share/java/postgresql.jar ] || need libpostgresql-jdbc-java
}

check_fuzz() {
    check_run
    have c++ || need build-essential
}

check_instructions() {
    check_run
    have valgrind || need valgrind
}

check_pages() {
    have cargo || { say 'Rust is missing; install it from https://rustup.rs, then run this again'; exit 1; }
    have cc || need build-essential
    have chromium || need chromium
    have curl || need curl
    # Letters that it can draw with.
    compgen -G '/usr/share/fonts/truetype/*/*.ttf' >/dev/null || need fonts-dejavu-core
}

check_bench() {
    check_run
    PATH=$PATH:/usr/sbin
    have pgbouncer || need pgbouncer
    have haproxy || need haproxy
    have pgpool || need pgpool2
    have redis-server || need redis-server
    have redis-benchmark || need redis-tools
}

check_bench-advice() {
    check_run
    local newest
    newest=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1 | cut -d/ -f5)
    newest=${newest:-15}
    [ -e "/usr/share/postgresql/$newest/extension/hypopg.control" ] || need "postgresql-$newest-hypopg"
    { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import venv, ensurepip' 2>/dev/null; } || need python3 python3-venv
    have gem || need ruby ruby-pg ruby-pg-query
}

# What no package of the system has: a folder for Python, and the gem.
finish_bench-advice() {
    local folder=target/advice/python
    if ! "$folder/bin/python" -c 'import psycopg' 2>/dev/null || [ ! -x "$folder/bin/tpchgen-cli" ]; then
        say "making $folder"
        /usr/bin/python3 -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.*' 'tpchgen-cli==4.*'
    fi
    have dexter || as_root gem install --silent --no-document pgdexter >/dev/null 2>&1 ||
        say 'the gem pgdexter cannot be had; the benchmark says so and goes on'
}

# as_root COMMAND...: directly, or by sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        say "cannot install without root or sudo; as root, run: apt-get install ${missing[*]}"
        exit 1
    fi
}

install() {
    if ! have apt-get; then
        say "this machine has no apt-get; install these by its own means: ${missing[*]}"
        exit 1
    fi
    say "installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Packages start their services at once. We want the programs only, so those that we installed are stopped;
# a service that was there before is the owner's and stays as it is.
stop_services() {
    local package service
    for package in "${missing[@]}"; do
        case $package in
            postgresql | pgbouncer | haproxy | pgpool2 | redis-server) service=$package ;;
            *) continue ;;
        esac
        if have systemctl && [ -d /run/systemd/system ]; then
            as_root systemctl disable --now --quiet "$service" || say "could not stop the service $service"
        elif [ -x "/etc/init.d/$service" ]; then
            as_root "/etc/init.d/$service" stop >/dev/null 2>&1 || true
        fi
    done
}

for part in "${@:-run}"; do
    if ! declare -F "check_$part" >/dev/null; then
        say "unknown part '$part'; known: $(compgen -A function check_ | sed 's/^check_//' | paste -sd ' ')"
        exit 2
    fi
    "check_$part"
done

if [ ${#missing[@]} -gt 0 ]; then
    # Two parts may ask for the same package.
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    install
    stop_services
fi

for part in "${@:-run}"; do
    [ "$part" != bench-advice ] || finish_bench-advice
done
