#!/usr/bin/env bash
# Looks for bytes that break what must hold for any bytes (fuzz/targets/), guided by what they reach.
#
#   scripts/fuzz.sh SECONDS [TARGET...]    every target for so long; findings go to fuzz/artifacts/
#   scripts/fuzz.sh merge [TARGET...]      puts the new ways that were found into fuzz/corpus/, each in its shortest form
#
# The stable compiler is enough: the instrumentation is LLVM's own, and only the sanitizers need a nightly one.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

what=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)

host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --release --target "$host" --bins

for target in "${targets[@]}"; do
    # What is found meanwhile is kept apart from what is committed.
    found=target/corpus/$target
    mkdir -p "$found" "artifacts/$target" "corpus/$target"
    dictionary=()
    [ -f "dictionaries/$target" ] && dictionary=(-dict="dictionaries/$target")
    run=("target/$host/release/$target" "${dictionary[@]}" -max_len=2048 -timeout=30 -artifact_prefix="artifacts/$target/")
    printf '\n== %s\n' "$target"
    case $what in
        merge) "${run[@]}" -merge=1 -reduce_inputs=1 "corpus/$target" "$found" 2>&1 | tail -n 1 ;;
        *) "${run[@]}" -max_total_time="$what" -print_final_stats=0 -verbosity=0 "$found" "corpus/$target" ;;
    esac
done
