# The commands people type. `make` alone lists them.

# SwiftPM finds OpenVINO's C API through a .pc file that set-up writes.
export PKG_CONFIG_PATH := $(CURDIR)/.deps/pkgconfig:$(PKG_CONFIG_PATH)
# Where a toolchain unpacked by hand often lies; what is in PATH comes first.
export PATH := $(PATH):/opt/swift/usr/bin

MEDALLION := .build/release/medallion

# A module that imports another one without saying so in Package.swift fails the build.
BUILD_TESTS := swift build --build-tests --explicit-target-dependency-import-check error
# The suites that need neither broker nor database: the address and the thread sanitizer watch them.
PURE_SUITES := ^(Bytes|Clients|Logic|Retrieval|Runtime|Lake)Tests\.

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests setup-peers build demo up watch bench test test-long test-sanitized test-broker fuzz lint format clean

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install what building and running takes (quick when nothing is to do)
	@tools/setup.sh

setup-tests: ## The same, with what only the tests need
	@tools/setup.sh --tests

setup-peers: ## What `medallion bench search` is held against: 3 GB to download
	@tools/setup_peers.sh

build: setup ## Build the release executable
	swift build -c release --product medallion --static-swift-stdlib
	@git describe --always --dirty --abbrev=12 --exclude='*' >$(MEDALLION).commit 2>/dev/null || rm -f $(MEDALLION).commit

demo: build ## Show everything at http://127.0.0.1:8080; RECORDING=file, DEMO_SECONDS=n
	@$(MEDALLION) demo

up: build ## Run all roles on the live stream
	@$(MEDALLION) up

watch: build ## The same, with Prometheus and Alertmanager beside it, and the addresses of all
	@tools/setup.sh --watch
	@.deps/venv/bin/python tools/watch.py $(MEDALLION)

bench: build ## Measure speed and memory
	@$(MEDALLION) bench

# In each process one test at a time: many block their thread on purpose (servers, child processes, C calls), and a second
# one beside them would wait for a thread of the pool instead of for what it tests. Three processes at once, because most
# of the time a test waits for somebody; Tests/groups.txt says which runs what.
test: setup-tests ## Build and run every test; FILTER=regex for some, such as LakeTests.CrashPointTests
	$(BUILD_TESTS)
	@.deps/venv/bin/python tools/run_tests.py

test-long: setup-tests test-sanitized ## The same with the long trials in full, and under the sanitizers, which takes hours
	$(BUILD_TESTS)
	@MEDALLION_LONG_TESTS=1 .deps/venv/bin/python tools/run_tests.py --minutes 600

# A build folder for each, since every module is compiled for it. What is found ends the process with a report in its log,
# .build/test-logs; Tests/sanitizers.txt names the leaks of others.
test-sanitized: setup-tests ## The pure suites under the address and the thread sanitizer
	for sanitizer in address thread; do \
		swift build --build-tests --sanitize=$$sanitizer --scratch-path .build/$$sanitizer && \
		LSAN_OPTIONS=suppressions=$(CURDIR)/Tests/sanitizers.txt TEST_BUILD=$(CURDIR)/.build/$$sanitizer/debug \
			.deps/venv/bin/python tools/run_tests.py --minutes 120 '$(PURE_SUITES)' || exit 1; \
	done

test-broker: setup-tests ## The integration suite against KAFKA_BROKERS, be it Redpanda, Kafka or another
	$(BUILD_TESTS)
	swift test --skip-build --no-parallel --filter AnyBrokerTests

fuzz: setup-tests ## Send the embedded broker and the HTTP server damaged requests; FUZZ_SECONDS=n (600 each)
	$(BUILD_TESTS)
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} swift test --skip-build --no-parallel --filter '(BrokerTests|HTTPTests).FuzzTests'

lint: ## Check the formatting of Swift
	swift format lint --strict --recursive --parallel Package.swift Sources Tests

format: ## Format in place
	swift format --in-place --recursive --parallel Package.swift Sources Tests

clean: ## Remove build products; data and .deps stay
	rm -rf .build
