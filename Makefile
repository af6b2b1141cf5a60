# penstock: make help shows what there is.
GO      ?= go
SEED    ?=
SEEDS   ?= 300
VERSION ?= 0.1.0-dev

.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/penstock, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/penstock ./cmd/penstock

run: build ## build and start the broker with its data in ./data
	bin/penstock serve

check: ## format, vet, staticcheck, style and unit tests, simulator: about a minute
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	SEEDS=$(SEEDS) $(GO) test ./...

test: setup ## everything that CI runs: check, race, plants, crash, wire and mainjob, with a line of each at the end
	@lines=; for suite in check race plants crash wire mainjob; do \
		start=$$(date +%s); $(MAKE) --no-print-directory $$suite || { echo "$$suite FAILED"; exit 1; }; \
		lines="$$lines$$suite ok, $$(($$(date +%s) - start)) s\n"; \
	done; printf "$$lines"

setup: ## install the clients and tools that the tests need (Debian 12, root)
	sh cmd/wire/setup.sh

race: ## all tests under the race detector, with fewer seeds
	SEEDS=20 GORACE=atexit_sleep_ms=0 $(GO) test -race ./...

sim: ## the simulator: SEED=n replays one run, SEEDS=n tries that many
	SEED=$(SEED) SEEDS=$(SEEDS) $(GO) test ./shard/sim -count=1 -v -run TestSim

sim-long: ## ten thousand seeds
	SEEDS=10000 $(GO) test ./shard/sim -count=1 -timeout 60m -v -run TestSim

plants: ## mistakes made on purpose, each of which the simulator must find
	$(GO) test -tags plant ./shard/sim -run Planted -count=1 -v

crash: ## real power cuts: images of an ext4 that lost and tore what was not flushed, of a journal and of the whole broker (root, /dev/fuse)
	$(GO) vet -tags powercut ./segment/... ./cmd/penstock
	$(GO) test -tags powercut ./segment/ -run PowerCuts -count=1 -v -timeout 10m
	$(GO) test -tags powercut ./cmd/penstock -run PowerCuts -count=1 -v -timeout 15m

wire: build setup ## real clients against a real broker, through both views
	cd cmd/wire && $(GO) vet . && $(GO) test -count=1 -timeout 15m -parallel 6

mainjob: build setup ## package lists in by kcat, a second topic by Java, the broker killed meanwhile: SEED=n replays the kills
	SEED=$(SEED) bash cmd/wire/mainjob/run.sh

bench: build ## figures beside bare servers on the same load: ARGS=-long for all of them (15 minutes, 20 GB of disk), ARGS='-only fetch' for some
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench $(ARGS)

bench-kafka: build ## Apache Kafka and penstock side by side, into docs/benchmarks.md: fifty minutes; ARGS=-quick for ten (root: a loopback of its own)
	sh cmd/wire/kafka-peer/jars.sh
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench kafka -out docs/benchmarks.md $(ARGS)

.PHONY: help bench bench-kafka build run check test setup race sim sim-long plants crash wire mainjob
