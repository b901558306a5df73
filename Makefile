# SPDX-License-Identifier: MPL-2.0
# `make demo` and `make test` set up what is missing first; see README.md.

# A LIBTORCH of one's own wins over the one that `make setup` fetches.
cargo := LIBTORCH=$${LIBTORCH:-$(CURDIR)/.libtorch/torch} cargo

.PHONY: build demo test check-install setup setup-tests clean

# target/release/libgstinvmih.so and target/release/invmih-train; FEATURES=cuda-kernels for kernels of its own on a GPU
build: setup
	$(cargo) build --release --locked $(if $(FEATURES),--features '$(FEATURES)')

# Hide sixteen photographs in a seventeenth and get them back, in demo/
demo: build
	scripts/demo

# Tests run side by side: with a thread each, their threads do not wait for one another
test: setup-tests
	cargo fmt --check
	scripts/check-headers
	$(cargo) clippy --release --locked --all-targets --features cuda-kernels -- -D warnings
	$(cargo) clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(cargo) doc --release --locked --no-deps
	OMP_NUM_THREADS=1 $(cargo) test --release --locked
	OMP_NUM_THREADS=1 $(cargo) test --release --locked --test soak -- --ignored

# Installs into target/installed and uses what is there
check-install: setup-tests
	scripts/check-install

# Rust is checked; system packages and libtorch are installed where they are missing
setup:
	@scripts/setup

# What the tests need besides
setup-tests:
	@scripts/setup tests

# Keeps libtorch
clean:
	cargo clean
	rm -rf demo
