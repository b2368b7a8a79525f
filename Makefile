# The verbs people type. Each does its own set-up first: scripts/setup.sh says what it installs, and installs nothing
# that is there already. The steps themselves are in scripts/.

WORLD ?= ./world
LISTEN ?= 127.0.0.1:7777
ARGS ?=
SECONDS ?= 180
TARGET ?=

.PHONY: help setup build page run test test-rust test-golden test-twins test-web test-e2e lint edges plugins fuzz fuzz-smoke bench clean

help: ## Show this list
	@echo "Terrane: one seamless voxel world."
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make run takes WORLD=folder, LISTEN=address:port and ARGS='more arguments of terrane serve'."

setup: ## Install everything that building and testing need
	@scripts/setup.sh rust gpu page test fuzz

build: ## Build the viewer's page and the release binary target/release/terrane
	@scripts/build.sh

page: ## Build the viewer's page, web/dist
	@scripts/build.sh page

run: build ## Build, then serve a world (made if there is none) and print its address
	@scripts/run.sh '$(WORLD)' '$(LISTEN)' $(ARGS)

test: ## Everything that is checked: format, lints, Rust, web, browser, fuzz smoke, edges
	@scripts/test.sh all

test-rust: ## Only the Rust tests, with the check of import edges and of paths in the documents
	@scripts/test.sh page rust

test-golden: ## Only the golden digests, in the debug profile
	@scripts/test.sh golden

test-twins: ## Only relaxation and labelling on a device against the CPU, with large worlds
	@scripts/test.sh twins

test-web: ## Only the tests of the viewer and of the TypeScript client
	@scripts/test.sh web

test-e2e: ## Only the browser against the real server
	@scripts/test.sh page binary e2e

lint: ## Only the format and the lints
	@scripts/test.sh format page clippy

edges: ## Only who imports whom, and the paths that the documents name
	@scripts/test.sh page edges

plugins: ## Build the example plug-ins of examples/plugins again
	@scripts/plugins.sh

fuzz-smoke: ## A short, fixed run of every fuzz target
	@scripts/test.sh fuzz

fuzz: ## A long run of one fuzz target: make fuzz TARGET=frames SECONDS=180
	@scripts/fuzz.sh long '$(TARGET)' '$(SECONDS)'

bench: build ## The benchmarks with the peers beside them, ending in one table
	@scripts/bench.sh

clean: ## Remove everything that was built
	rm -rf target fuzz/target fuzz/corpus fuzz/artifacts web/dist web/node_modules web/test-results
