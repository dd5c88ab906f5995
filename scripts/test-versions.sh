#!/usr/bin/env bash
# Runs the conformance cases, and those of what is a read, against other versions of PostgreSQL than this machine's.
#
#   scripts/test-versions.sh                  against the oldest and the newest that there are
#   scripts/test-versions.sh 14 16            against these major versions
#   TESTS=all scripts/test-versions.sh 17     every test; or TESTS='parts of their names'
#
# A version that fails does not keep the others from running; which failed is said at the end.
set -uo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- oldest newest
read -ra tests <<<"${TESTS:-conformance:: reads::cases}"
[ "${tests[*]}" != all ] || tests=()

run_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --no-fail-fast --test-threads "$(scripts/test-threads.sh)" --test integration "${tests[@]}"
    else
        cargo test --locked --no-fail-fast --test integration -- "${tests[@]}"
    fi
}

failed=()
for version in "$@"; do
    if ! bin=$(scripts/postgres-versions.sh "$version"); then
        failed+=("$version (not to be had)")
        continue
    fi
    name=$("$bin/postgres" --version)
    printf '\n== the conformance cases against %s\n' "$name" >&2
    started=$SECONDS
    PGWEIR_TEST_PG_BIN=$bin run_tests || failed+=("$name")
    printf '== %s took %s s\n' "$name" "$((SECONDS - started))" >&2
done

if [ ${#failed[@]} -gt 0 ]; then
    printf 'test-versions: FAILED against %s\n' "${failed[@]}" >&2
    exit 1
fi
