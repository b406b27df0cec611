# What a developer does. `just` lists it.

default:
    @just --list --unsorted

# Everything on this machine: three regions, real Envoys, tokens, curl lines.
demo *args:
    cargo run --release -- demo {{args}}

# All tests: engine, policies, filters as Wasm, real Envoys.
test *args:
    cargo test {{args}}

# Real GraphQL servers behind Envoy: Apollo Server, Apollo Gateway, Yoga. Needs Node.js 20 and npm.
apollo *args:
    cargo test -p apollo {{args}}

# Real stores behind the guards: PostgreSQL (Debian: `apt-get install -y postgresql`), moto and boto3, the
# Neo4j driver (Python 3 with venv).
stores *args:
    cargo test -p stores {{args}}

# Alerts on a real Alertmanager. Needs Debian's prometheus-alertmanager and prometheus.
alerts:
    cargo test -p conductor --test alerts -- --ignored

# The conductor's clock jumps while a release is under way (needs Debian's faketime).
reliability:
    cargo test -p conductor --test reliability -- --ignored

# Kills a region under load, twice, and counts what crosses its border.
drill-failover *args:
    cargo run --release -- probe drill {{args}}

# Releases on six real Envoys under load: a good one gets to everybody, three bad ones are taken back.
drill-release *args:
    cargo run --release -- bundle drill {{args}}

# Residency probes of 10,000 tenants and 3 stores in a simulated world, with real proofs.
bench-probe *args:
    cargo bench -p bench --bench probe -- {{args}}

# Decision lines of a gateway's log into SQLite, on one core; `--quick`: fewer lines.
bench-ingest *args:
    cargo bench -p bench --bench ingest -- {{args}}

# 1,000 and 10,000 simulated sidecars and one tenant of 10,000 that changes: time until all have it, bytes,
# memory. `--streams 1000`: one size.
bench-xds *args:
    cargo bench -p bench --bench xds -- {{args}}

# What CI asks beside the tests.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --exclude guard --exclude masking --exclude residency --exclude shell --exclude noop --exclude copythrough --all-targets -- -D warnings
    cargo clippy --target wasm32-wasip1 -p guard -p masking -p residency -p noop -p copythrough -- -D warnings

fmt:
    cargo fmt --all

# The filters, into target/filters/wasm32-wasip1/filter/.
wasm:
    cargo build --profile filter --target wasm32-wasip1 --target-dir target/filters -p residency -p masking -p guard

# Run the filters on a recorded exchange, without Envoy: what came out, what it logged and cost.
# With arguments: `just try my.json --filter my.wasm --config my-config.json`.
try exchange="tests/exchanges/analyst.json" *args="": wasm
    @mkdir -p target/try
    cargo run -q --release -- filter-config masking --region eu > target/try/masking.json
    cargo run -q --release -- filter-config residency --region eu > target/try/residency.json
    cargo run -q --release -p harness --example try -- {{args}} {{exchange}}

# The engine by criterion, then masking in a whole Envoy: the usual size only.
bench: (bench-envoy "--quick")
    cargo bench -p bench --bench engine

# Masking in a whole Envoy against no filter, no-op and copying Wasm, Lua, ext_proc and Apollo: all
# sizes, about ten minutes; `--quick`: one; `--only 12KB/200,1MB/20`: some.
bench-envoy *args:
    cargo bench -p bench --bench envoy -- {{args}}

# What the guard adds to a PostgreSQL connection and residency to a request, in a whole Envoy, and how
# long 10,000 tenants take to load: about three minutes; `--quick`: less of each.
bench-guard *args:
    cargo bench -p bench --bench guard -- {{args}}

# A signed bundle of the policies: `just bundle key.pem target/bundle.tar.gz --filters DIR`.
bundle key output *args:
    cargo run -q --release -- bundle build policies -o {{output}} --signing-key {{key}} {{args}}

# The cases natively, and which lines of the rules they reach; also what recorded decisions would become:
# `just policy-test --replay eu.log --against bundle.tar.gz`.
policy-test *args:
    cargo run -q --release -- bundle test policies {{args}}

# What would be masked for this caller and query, and why.
explain query claims *args:
    cargo run -q --release -- explain --query '{{query}}' --claims '{{claims}}' {{args}}

# The same for a recorded case: `just explain-case rest_list --all`.
explain-case name *args:
    cargo run -q --release -- explain --case policies/cases/masking/{{name}} {{args}}

# The rewriter against a slow executor that masks at the resolver, a million cases. `START=…` goes on
# from a case, `CASES=…` says how many, `JOBS=…` on how many threads.
fuzz-long:
    cargo test -q --release -p engine --test differential a_million_cases -- --ignored --nocapture

# One case of it again.
fuzz-case seed:
    SEED={{seed}} cargo test -q --release -p engine --test differential the_rewriter

# Disables one guard after the other: at least one test must fail. With names, only guards whose name
# holds one of them; `--every 3` takes a sample.
mutants *args:
    cargo run -q -p mutants -- {{args}}

# Fuzzes one of rewriter, graphql, bodies, requests, shell, postgres, bolt, stores, tokens (libFuzzer,
# nightly, `cargo install cargo-fuzz`); what it finds worth keeping goes to target/fuzz/corpus, what
# fails to target/fuzz/found.
fuzz target="rewriter" seconds="300":
    @mkdir -p target/fuzz/corpus/{{target}} target/fuzz/found/{{target}}
    CARGO_TARGET_DIR=target/fuzz cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer --sanitizer none \
        {{ if target == "shell" { "--features shell" } else { "" } }} {{target}} \
        target/fuzz/corpus/{{target}} tests/fuzz/corpus/{{target}} -- \
        -max_total_time={{seconds}} -max_len=2000 -timeout=20 -artifact_prefix=target/fuzz/found/{{target}}/
