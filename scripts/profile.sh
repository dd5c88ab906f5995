#!/usr/bin/env bash
# Makes the profile anew by which releases are optimised (benches/hot.profdata): builds a pgweir that counts how often each branch is taken, has it do
# what the benchmark has it do, and merges what it counted. A profile holds for one version of the compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/target/profile
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
merge=$(find "$(rustc --print sysroot)/lib/rustlib" -name llvm-profdata -type f | head -1)
merge=${merge:-$(command -v "/usr/lib/llvm-$llvm/bin/llvm-profdata" || true)}
[ -n "$merge" ] || { echo "llvm-profdata of LLVM $llvm is missing; 'rustup component add llvm-tools' or the package llvm-$llvm has it" >&2; exit 1; }

rm -rf "$folder/raw"
# What compiles the program counts too, and is of no interest.
LLVM_PROFILE_FILE="$folder/build/%m.profraw" RUSTFLAGS="-Cprofile-generate=$folder/build" CARGO_TARGET_DIR="$folder" \
    cargo build --release --locked --bin pgweir
rm -rf "$folder/build"
run() { env LLVM_PROFILE_FILE="$folder/raw/%p-%m.profraw" BENCH_PGWEIR="$folder/release/pgweir" BENCH_PROXIES=pgweir BENCH_ROUNDS=1 "$@" \
    cargo bench --locked --bench proxy >"$folder/bench.log"; }
run BENCH_ONLY=simple,prepared,latency,login,routing,cache BENCH_SECONDS=3
"$merge" merge --sparse -o benches/hot.profdata "$folder"/raw/*.profraw
ls -l benches/hot.profdata
