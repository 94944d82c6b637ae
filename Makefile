# `make` lists the targets.

CARGO ?= cargo
# The model in process: built in release only, so that llama.cpp is compiled once.
MODEL := --features parkway-cli/llama,parkway-examples/llama

.DEFAULT_GOAL := help
.PHONY: help run test times gpu-check setup lint clean-out

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Build, fetch the starter model, run the order intake over 28 letters, print its score, pursue a goal, sign and check the log
	$(CARGO) build --release -p parkway-cli -p parkway-examples $(MODEL)
	scripts/setup model
	scripts/order-intake
	@echo
	scripts/a-goal
	@echo
	scripts/evidence

test: setup ## All tests, with canaries: without a C++ toolchain first, then those on the real model
	scripts/canaries run $(CARGO) test
	$(CARGO) build --release -p parkway-cli -p parkway-examples $(MODEL)
	scripts/setup model
	scripts/embedder
	RUST_TEST_THREADS=1 scripts/canaries run $(CARGO) test --release -p parkway-llama -p parkway-cli -p parkway-examples $(MODEL)

times: setup ## A short table of times: a process, durable steps, tokens, beside load and sync cost
	$(CARGO) build --release -p parkway-cli -p parkway-examples $(MODEL)
	scripts/setup model
	"$(or $(CARGO_TARGET_DIR),target)/release/times"

gpu-check: setup ## On this machine's GPU, which may be NVIDIA's, AMD's, Apple's or any with Vulkan: a table of pass and fail
	scripts/gpu-check

setup: ## Install what the build needs and this machine lacks
	scripts/setup build

lint: ## Formatting and lints, without the model in process
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings

clean-out: ## Remove what the examples wrote
	rm -rf out
