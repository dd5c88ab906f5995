#!/usr/bin/env bash
# Makes anew the profile by which releases are optimised (benches/profile): builds a pgweir that counts which way each branch goes, has it do what the
# benchmark has it do, and merges what was counted. A profile holds for the one version of the compiler that it was made with.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/target/profile
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
profdata=$(find "$(rustc --print sysroot)/lib/rustlib" -name llvm-profdata -type f | head -1)
profdata=${profdata:-/usr/lib/llvm-$llvm/bin/llvm-profdata}
[ -x "$profdata" ] || {
    echo "llvm-profdata of LLVM $llvm is missing: 'rustup component add llvm-tools' brings it, or the package llvm-$llvm" >&2
    exit 1
}

rm -rf "$folder/counts" "$folder/build"
# Macros and build scripts count too, while the program is built; nobody wants to know.
LLVM_PROFILE_FILE="$folder/build/%m.profraw" RUSTFLAGS="-Cprofile-generate=$folder/build" CARGO_TARGET_DIR="$folder" \
    cargo build --release --locked --bin pgweir
rm -rf "$folder/build"

ulimit -n "$(ulimit -Hn)"
LLVM_PROFILE_FILE="$folder/counts/%p-%m.profraw" BENCH_PGWEIR="$folder/release/pgweir" BENCH_PROXIES=pgweir BENCH_ROUNDS=1 BENCH_SECONDS=3 \
    BENCH_ONLY=simple,prepared,latency,login,routing,cache \
    scripts/with-profile.sh cargo bench --locked --bench proxy >"$folder/benchmark.txt"
"$profdata" merge --sparse -o benches/profile/hot.profdata "$folder"/counts/*.profraw
rustc -vV >benches/profile/rustc.txt
ls -l benches/profile
