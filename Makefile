# What to type here. Each target is the command itself; what a line cannot hold is a script of a page in scripts/.
.PHONY: run test check advisories

# Serves on http://127.0.0.1:8080 from a PostgreSQL of its own.
run:
	scripts/prepare run
	cargo run --release --locked -- serve

# Unit tests, and the real binary over real sockets in front of a real PostgreSQL.
test:
	scripts/prepare
	cargo test --locked

# What must hold before a change lands, apart from the tests.
check:
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --document-private-items --locked
	cargo test --quiet --locked --test integration tidy::
	scripts/cargo-deny check bans licenses sources
	scripts/check-files

# Known holes in the crates we use. Apart from `check`, because it downloads the advisory database first.
advisories:
	scripts/cargo-deny check advisories
