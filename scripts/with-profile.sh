#!/usr/bin/env bash
# Runs a command of cargo's so that releases are optimised by the profile: scripts/with-profile.sh cargo build --release. Where the compiler is not the one
# that the profile was made with, which could not use it, the command runs as it is. Why, and what it brings: docs/design/cost.md.
set -euo pipefail

profile=$(cd "$(dirname "$0")/../benches/profile" && pwd)
if [ "$(rustc -vV)" = "$(cat "$profile/rustc.txt")" ]; then
    # What has changed since the profile was made is built as if there were none; that is no news. What a function never did goes to the end of the
    # program, and what is hot stands together.
    flags="-Cprofile-use=$profile/hot.profdata -Cllvm-args=-no-pgo-warn-mismatch"
    flags+=" -Cllvm-args=-enable-split-machine-functions -Clink-arg=-Wl,-z,keep-text-section-prefix"
    export RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }$flags"
fi
exec "$@"
