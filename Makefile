# What to type here. Each target is the command itself; what a line cannot hold is a script of a page in scripts/.
.PHONY: run test check advisories bench compare-topologies million burdened steering instructions syscalls upheaval faults cluster-test cluster-faults check-manifests fuzz sbom reproducible soak

# Serves on http://127.0.0.1:8080 from a PostgreSQL of its own.
run:
	scripts/prepare run
	cargo run --release --locked -- serve

# Unit tests, and the real binary over real sockets in front of a real PostgreSQL. Without a browser here, which the first line
# of the output says, the live page's tests are left out. Tests wait more than they work: there are more of them at once than cores.
TEST_THREADS = 4
test:
	scripts/prepare
	cargo test --locked -- --test-threads $(TEST_THREADS) $$(scripts/find-browser >/dev/null || echo --skip live_page::)

# What must hold before a change lands, apart from the tests.
check:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --document-private-items --locked
	cargo test --quiet --locked --test integration tidy::
	scripts/cargo-deny check bans licenses sources
	scripts/check-files
	python3 -m unittest discover --start-directory benches/tests --top-level-directory .
	scripts/advisories --at-hand

# Known holes in the crates we use, by cargo-deny and cargo-audit, after a download of their database; ADVISORY_DB names a copy instead.
# `check` looks too where a copy is at hand, and says so where none is.
advisories:
	scripts/advisories

# A bill of materials of the program: CycloneDX, for the system that SBOM_TARGET names, or this one.
sbom: SBOM ?= target/sbom.cdx.json
sbom:
	scripts/sbom $(SBOM) $(SBOM_TARGET)

# Two release builds of the last commit, which have to be the same to the byte: about ten minutes of one core.
reproducible:
	scripts/reproducible

# Compares servers under load: wrk in front, a PostgreSQL of its own behind. The first of TARGETS is what the others are
# divided by; `direct`, `ours-tcp`, `direct-tcp`, `exclusive-tcp` and `commit:REF` are there too, and bench-targets.toml names more
# (benches/targets.example.toml). Results go to docs/results/NAME, else to docs/results/local, or to OUT.
ROUTES = json plaintext db queries updates fortunes
CONNECTIONS = 64 256 512
TARGETS = ours exclusive
PAIRS = 5
SECONDS_EACH = 5
WARMUP = 2
YARDSTICK = 3
bench:
	scripts/prepare
	python3 -m benches throughput --routes $(ROUTES) --connections $(CONNECTIONS) --targets $(TARGETS) --pairs $(PAIRS) \
	    --seconds $(SECONDS_EACH) --warmup $(WARMUP) --yardstick $(YARDSTICK) $(if $(NAME),--name $(NAME)) $(if $(OUT),--out $(OUT))

# Compares the ways to arrange processes, threads and accepts, in about twelve minutes on two cores: every workload over each number
# of active connections, then some over the fewest beside HELD idle ones. Results as for bench.
TOPOLOGIES = 1x1 1xN 1xN-shared 1xN-handoff Nx1 Nx1-shared prefork
WORKLOADS = db wait json burn
ACTIVE = 64 4096
HELD_WORKLOADS = db json
HELD = 16000
ROUNDS = 2
SECONDS_A_RUN = 3
WARMUP_A_RUN = 1
compare-topologies:
	scripts/prepare
	python3 -m benches topologies --topologies $(TOPOLOGIES) --workloads $(WORKLOADS) --connections $(ACTIVE) \
	    --held-workloads $(HELD_WORKLOADS) --held $(HELD) --rounds $(ROUNDS) --seconds $(SECONDS_A_RUN) \
	    --warmup $(WARMUP_A_RUN) $(if $(BINARY),--binary $(BINARY)) $(if $(NAME),--name $(NAME)) $(if $(OUT),--out $(OUT))

# Holds a million connections on this machine and asks each of them; as root. Its settings are in the head of the script.
CONNECTIONS_HELD = 1000000
million:
	scripts/million $(CONNECTIONS_HELD)

# Two identical servers, one of which holds CONNECTIONS_HELD, loaded in turn by 256 others; as root.
BURDENED_ROUTES = json db
burdened:
	scripts/prepare
	python3 -m benches burdened --held $(CONNECTIONS_HELD) --connections 256 --routes $(BURDENED_ROUTES) --pairs $(PAIRS) \
	    --seconds $(SECONDS_EACH) --warmup $(WARMUP) $(if $(OUT),--out $(OUT))

# A pool that finds its own size (--pool-per-core auto) while the way to PostgreSQL becomes STEP_MS longer and shorter again, beside every
# fixed pool within the same bounds: some four minutes a round on two cores.
POOL_BOUNDS = 3-6
STEP_MS = 2
STEERING_ROUNDS = 3
STEERING_ACTIVE = 64
steering:
	scripts/prepare
	python3 -m benches steering --bounds $(POOL_BOUNDS) --rtt $(STEP_MS) --connections $(STEERING_ACTIVE) \
	    --rounds $(STEERING_ROUNDS) --seconds 20 --seconds-fixed 6 $(if $(OUT),--out $(OUT))

# Instructions and allocations a request costs, under valgrind, against benches/instructions.json; ACCEPT=1 writes it anew.
instructions:
	scripts/prepare
	python3 -m benches instructions $(if $(ACCEPT),--accept) $(if $(REPEAT),--repeat $(REPEAT))

# System calls a request makes, under strace: a read and a write on a keep-alive connection, and the database's.
syscalls:
	scripts/prepare
	python3 -m benches syscalls

# Kills a random process each second, reloads, and stops a service of several processes, all under load of clients that account
# for every request: about five minutes. What was not answered and should have been ends it with an error.
KILLS = 60
RELOADS = 50
STOPS = 20
PROCESSES = 3
upheaval:
	scripts/prepare
	python3 -m benches upheaval --kills $(KILLS) --reloads $(RELOADS) --stops $(STOPS) --processes $(PROCESSES) $(if $(OUT),--out $(OUT))

# Looks for input that breaks what must hold (src/properties): FUZZ_SECONDS for each target, in fuzz/; needs a C++ compiler. It begins
# with fuzz/seeds and what earlier runs found; an input that breaks anything is kept in fuzz/artifacts, and ends it with an error.
FUZZ_SECONDS = 60
FUZZ_TARGETS = address answers heads responses settings target
fuzz:
	scripts/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# Mixed load for SOAK, with a random fault every SOAK_EVERY seconds, and every answer checked against what the fault in force allows and
# against what PostgreSQL says its rows were; in the end memory and descriptors are compared. Ends with an error where anything was
# wrong. SOAK_SEED=N repeats a run's faults, SOAK_FAULTS=lock,hang takes only some, SOAK_BINARY uses what is built; OUT takes the report.
SOAK = 30m
SOAK_EVERY = 30
SOAK_PROCESSES = 2
soak: OUT ?= docs/results/soak
soak:
	scripts/prepare
	python3 -m benches soak --length $(SOAK) --every $(SOAK_EVERY) --processes $(SOAK_PROCESSES) $(if $(SOAK_SEED),--seed $(SOAK_SEED)) \
	    $(if $(SOAK_FAULTS),--faults $(SOAK_FAULTS)) $(if $(SOAK_BINARY),--binary $(SOAK_BINARY)) --out $(OUT)

# Every fault of docs/reliability.md, made for real, also those that take minutes: about a quarter of an hour, as root. Each test ends by a
# line with its figure; the whole output is kept in OUT.
faults: OUT ?= docs/results/faults
faults:
	scripts/prepare
	scripts/long-tests faults $(OUT)

# All tests of several database servers (docs/replicas.md), also those that take minutes: replication, lag, promotion, loss. As for faults.
cluster-test: OUT ?= docs/results/cluster
cluster-test:
	scripts/prepare
	scripts/long-tests cluster $(OUT) live_page::hosts

# Brings deploy/cluster up by Docker, loses one part of it after the other under load, and takes it down again: some three minutes, as root.
cluster-faults: OUT ?= docs/results/cluster/compose
cluster-faults:
	scripts/cluster-faults $(OUT)

# Holds deploy/kubernetes against the API's schemas: kubernetes-validate, of a version that is named there.
check-manifests:
	scripts/check-manifests
