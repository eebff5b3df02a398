# make           build bin/copper with this machine's OpenMPI (without MPI where there is none)
# make mpich     build bin/copper-mpich
# make test      install what is missing, then run everything
# make test-sites  run jobs on several hosts and under Slurm, as on the machines; as root
# make demo      see it work, in a few minutes
# make bench     measure; slower
# make screenshot  run a small job and take the documentation's picture of its report
# make fuzz      feed every decoder and protocol end with bytes that nobody sent, FUZZTIME=30s each
# make install PREFIX=/usr/local

PREFIX ?= /usr/local
GO ?= go
GOCACHE_BASE := $(shell $(GO) env GOCACHE)

# One Go build cache for each MPI: Go's cache does not see which mpi.h was used. Never CC=mpicc:
# with both installed that silently links the wrong one.
OPENMPI_ENV = CGO_ENABLED=1 GOCACHE=$(GOCACHE_BASE)-openmpi \
	CGO_CFLAGS="-O2 -g $$(mpicc.openmpi -showme:compile)" \
	CGO_LDFLAGS="$$(mpicc.openmpi -showme:link)"
MPICH_ENV = CGO_ENABLED=1 GOCACHE=$(GOCACHE_BASE)-mpich \
	CGO_CFLAGS="-O2 -g $$(pkg-config --cflags mpich)" \
	CGO_LDFLAGS="-Wl,--as-needed -lmpich"

# Connections over libfabric where its headers are, which `make deps` may just have brought: so this is looked at late.
# The library is loaded when it is used: binaries start without it.
FABRIC = $(shell pkg-config --exists libfabric 2>/dev/null && echo libfabric)
TAGS = -tags "mpi $(FABRIC)"

# $(call links,BINARY,LIBRARY): BINARY needs that one MPI library and no other.
links = test "$$(readelf -d $(1) | sed -n 's/.*NEEDED.*\[\(libmpi.*\)\]/\1/p')" = $(2) || \
	{ echo "$(1) must link $(2) and no other MPI" >&2; rm -f $(1); exit 1; }

# What `copper version` tells of the sources.
VERSION := $(or $(shell git describe --tags --always --dirty 2>/dev/null),unknown)
STAMP := -ldflags "-X main.version=$(VERSION) -X main.committed=$(shell git log -1 --format=%cI 2>/dev/null)"

.PHONY: all copper mpich deps test test-sites unit race e2e lint demo screenshot bench bench-overlay bench-node bench-launch fuzz install install-files clean

all: copper

copper:
	@if command -v mpicc.openmpi >/dev/null; then \
		set -e; $(OPENMPI_ENV) $(GO) build $(STAMP) $(TAGS) -o bin/copper ./cmd/copper; \
		$(call links,bin/copper,libmpi.so.40); \
	else \
		echo "no mpicc.openmpi here: building bin/copper without MPI, for one node (see ci/deps)"; \
		$(GO) build $(STAMP) -tags "$(FABRIC)" -o bin/copper ./cmd/copper; \
	fi

mpich:
	@$(MPICH_ENV) $(GO) build $(STAMP) $(TAGS) -o bin/copper-mpich ./cmd/copper
	@$(call links,bin/copper-mpich,libmpich.so.12)

deps:
	@ci/deps test

test: deps copper mpich
	@$(MAKE) --no-print-directory -j2 lint unit
	@$(MAKE) --no-print-directory race e2e
	@echo "make test: all passed"

# Tests must not be skipped for want of something that ci/deps installs.
unit: export COPPER_REQUIRE_MPI = 1
unit: export COPPER_REQUIRE_FUSE = 1
unit: export COPPER_REQUIRE_LIBFABRIC = 1
unit:
	$(GO) test -tags libfabric ./...

RACE = ./store/... ./overlay ./overlay/fabric ./fuse/... ./launch/... ./profiling/... ./ci/slowfs/...
race: export COPPER_REQUIRE_FUSE = 1
race: export COPPER_REQUIRE_LIBFABRIC = 1
race:
	$(GO) test -tags libfabric -race $(RACE)
	$(GO) test -tags libfabric -short -cpu 1 ./store/... ./overlay ./overlay/fabric ./fuse/...

# In parallel: the jobs of the fault matrix, which mostly wait.
e2e: export COPPER_E2E = $(CURDIR)/bin
e2e: export COPPER_REQUIRE_CHROMIUM = 1
e2e:
	$(GO) test -count=1 -timeout 15m -parallel 4 -skip '^TestSlurm[^J]' ./ci/e2e/...

# Hosts of namespaces, a Slurm on them, and the whole fault matrix over libfabric.
test-sites: export COPPER_E2E = $(CURDIR)/bin
test-sites: export COPPER_REQUIRE_NODES = 1
test-sites: export COPPER_REQUIRE_SLURM = 1
test-sites:
	@ci/deps test
	@$(MAKE) --no-print-directory copper mpich
	$(GO) test -count=1 ./ci/nodes ./ci/slurm
	$(GO) test -count=1 -timeout 15m -run '^Test(Hosts|Slurm)' ./ci/e2e
	$(GO) test -count=1 -timeout 15m -parallel 4 -run '^TestLibfabricFaults' ./ci/e2e -libfabric

lint: export GOFLAGS =
lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags libfabric ./overlay/...
	$(OPENMPI_ENV) $(GO) vet $(TAGS) ./mpiboot/... ./cmd/...
	bin/golangci-lint run ./...
	bin/golangci-lint run --build-tags libfabric ./overlay/fabric/...
	$(OPENMPI_ENV) bin/golangci-lint run --build-tags mpi ./mpiboot/...

demo:
	@ci/deps demo
	@$(MAKE) --no-print-directory copper
	@$(GO) run ./ci/demo

# The picture of a real job's report, profiling/report.png.
screenshot: copper
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || ci/deps test
	@$(GO) run ./ci/screenshot

bench: bench-overlay bench-node bench-launch
	$(GO) test -run '^$$' -tags "$(FABRIC)" -bench . ./store/... ./overlay ./fuse/... ./profiling

# The wire against a bare TCP ping-pong, grpc-go and iperf3. A module of its own, so that the
# product does not depend on its opponents.
bench-overlay:
	@command -v iperf3 >/dev/null || ci/deps bench
	@cd ci/bench && $(GO) run -tags "$(FABRIC)" ./overlay

# What a node's second process feels of Copper, against the native file system.
bench-node: copper
	@command -v gcc >/dev/null && dpkg -s libfuse3-dev >/dev/null 2>&1 || ci/deps bench
	@cd ci/bench && $(GO) run ./node

# How long launch takes until every mount answers, in parts.
bench-launch: copper mpich
	@cd ci/bench && $(GO) run ./launch

# Feeds every decoder what its tests did not think of, for FUZZTIME each.
# Go before 1.27 may fail at the very end of a time with "context deadline exceeded" and no failing
# input (golang/go#75804); a number of runs, as in FUZZTIME=200000x, has no such end.
FUZZTIME ?= 30s
fuzz:
	@set -e; for file in $$(grep -rl '^func Fuzz' --include='*_test.go' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' $$file); do \
			echo "$$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$(dirname $$file); \
		done; \
	done

install: copper install-files

# Everything that there is in bin, and what belongs beside it.
SHARE = $(DESTDIR)$(PREFIX)/share
install-files:
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin bin/copper $(wildcard bin/copper-mpich launch/*.sh)
	env -u COPPER_SITE bin/copper docs $(SHARE)
	install -D -m 644 launch/modulefile/copper.lua $(SHARE)/modulefiles/copper/$(VERSION).lua
	for dir in examples/*; do install -D -m 755 -t $(SHARE)/copper/$$dir $$dir/*.sh; done

clean:
	rm -rf bin
