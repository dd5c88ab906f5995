# The commands of this project. Each installs what it needs by itself; the first `make run` on a clean machine works.

.PHONY: help run demo test test-versions test-jdbc fuzz fuzz-merge instructions bench bench-advice profile pages check format check-format lint doc check-cache setup clean

help:
	@echo 'make run           proxy on port 6432, in front of $$DATABASE_URL or of a throw-away sample database;'
	@echo '                   ARGS="--listen 127.0.0.1:6442" for another port'
	@echo 'make demo          the sample shop at work for a minute with problems planted in it, the report on it, and the pages;'
	@echo '                   DEMO_SECONDS (60), ARGS=--follow repairs what is advised and reports again'
	@echo 'make test          every test, on real PostgreSQL servers in temporary folders; then test-versions'
	@echo 'make test-versions   the conformance cases on other versions of PostgreSQL; VERSIONS="13 16", TESTS=all'
	@echo 'make test-jdbc     reads by JDBC through the result cache; installs a JDK'
	@echo 'make fuzz          look for bytes that break something; SECONDS for each target (60), TARGETS'
	@echo 'make check-cache   sessions against the promises of the result cache while everything goes wrong; SECONDS (60),'
	@echo '                   PGWEIR_TEST_SEED, PGWEIR_TEST_LEVELS, RUN=checked_while_commits_hang for one thing that goes wrong,'
	@echo '                   RUN=checked_ for each by itself, one after the other, PROFILE=--release'
	@echo 'make instructions  count the instructions of the hot pieces; ARGS=--write makes the baseline anew'
	@echo 'make bench         cost and speed beside pgbouncer, haproxy, pgpool-II, Redis; BENCH_SECONDS, BENCH_ROUNDS, BENCH_ONLY'
	@echo 'make bench-advice  how good index advice is, beside a careful person, dexter, and baselines; ARGS="--only cases"'
	@echo 'make profile       make the profile anew by which releases are optimised; for the compiler that is there'
	@echo 'make pages         reports in a real browser, as pictures to look at; FOLDER (target/pages), URLS of pages of a running pgweir'
	@echo 'make check         format, lint and documentation, as the CI does'
	@echo 'make format        rewrite the sources in the standard format'

run:
	@scripts/setup.sh run
	scripts/with-profile.sh cargo build --release --locked
	@pgweir="$${CARGO_TARGET_DIR:-target}/release/pgweir"; export PGWEIR_UNDER_MAKE=1; \
	if [ -n "$$DATABASE_URL" ]; then exec "$$pgweir" run $(ARGS) env:DATABASE_URL; else exec "$$pgweir" demo $(ARGS); fi

demo:
	@scripts/setup.sh demo
	scripts/with-profile.sh cargo build --release --locked
	@scripts/demo.sh $(ARGS)

test:
	@scripts/setup.sh test
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x && cargo nextest run --locked --test-threads $$(scripts/test-threads.sh); \
	else \
		set -x && cargo test --locked --lib --bins --tests; \
	fi
	cargo test --locked --doc
	@scripts/test-versions.sh

test-versions:
	@scripts/setup.sh test
	@scripts/test-versions.sh $(VERSIONS)

# A target of its own: a JDK is much to install for one test.
test-jdbc:
	@scripts/setup.sh test jdbc
	cargo test --locked --test integration drivers::kept::jdbc -- --ignored

fuzz:
	@scripts/setup.sh fuzz
	scripts/fuzz.sh $(or $(SECONDS),60) $(TARGETS)

fuzz-merge:
	@scripts/setup.sh fuzz
	scripts/fuzz.sh merge $(TARGETS)

check-cache:
	@scripts/setup.sh test
	PGWEIR_TEST_SECONDS=$(or $(SECONDS),60) $(if $(filter checked_,$(RUN)),,PGWEIR_TEST_ONE=1) \
		cargo test --locked $(PROFILE) --test integration cache::$(or $(RUN),checked_while_everything_goes_wrong) \
		-- --nocapture --test-threads=1

instructions:
	@scripts/setup.sh instructions
	cargo run --locked --profile counted --features instructions --bin instructions -- $(ARGS)

bench:
	@scripts/setup.sh bench
	scripts/with-profile.sh cargo build --release --locked
	@# With what the benchmark itself needs, cargo builds another program of that name, of libraries with more features, which the profile does not fit.
	ln -f target/release/pgweir target/release/pgweir-measured
	ulimit -n $$(ulimit -Hn) 2>/dev/null; BENCH_PGWEIR=$(CURDIR)/target/release/pgweir-measured scripts/with-profile.sh cargo bench --locked --bench proxy -- $(BENCH_ARGS)

bench-advice:
	@scripts/setup.sh bench-advice
	scripts/with-profile.sh cargo build --release --locked
	target/advice/python/bin/python -m unittest discover -q -s benches/advice
	target/advice/python/bin/python benches/advice/main.py $(ARGS)

profile:
	@scripts/setup.sh bench
	scripts/profile.sh

pages:
	@scripts/setup.sh pages
	scripts/pages.sh $(or $(FOLDER),target/pages) $(URLS)

check: check-format lint doc

format:
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml

check-format:
	cargo fmt --check

lint:
	cargo clippy --locked --all-targets --all-features -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

setup:
	@scripts/setup.sh test fuzz instructions bench

clean:
	cargo clean
	rm -rf bench-results /var/tmp/pgweir-postgres
