# What people who work on Quarterturn run. `bash .ci/test` runs all of it, and installs
# what is missing first.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.2.0
CYCLONEDX = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0

FUZZTIME ?= 30s
BENCH ?= .

.PHONY: site build check test test-short test-race test-bits fuzz bench generate e2e deploy-check cross licences sbom vuln

build: ## the command, without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o quarterturn ./cmd/quarterturn

check: ## formatting, vet, staticcheck, and whether generated files are fresh; under a minute once built
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted, run gofmt -w: $$unformatted"; exit 1; }
	$(GO) vet ./...
	@for goos in wasip1 js; do echo "vet for $$goos"; GOOS=$$goos GOARCH=wasm $(GO) vet ./wasm ./format ./sla/... || exit 1; done
	$(GO) run $(STATICCHECK) ./...
	$(GO) run ./cmd/internal/licences -check
	$(GO) generate ./trainer/internal/nhwc
	git diff --exit-code -- trainer/internal/nhwc

test: ## every Go test
	$(GO) test ./...

test-short: ## the Go tests without training, browsers and long comparisons; under a minute on two cores
	$(GO) test -short ./...

test-race: ## what runs side by side, under the race detector; needs a C compiler
	$(GO) test -race -short ./trainer/internal/nhwc # the long ones add up the same kernels in float64
	$(GO) test -race -run 'Concurrency|Close|Broken|Errors|Service(Bounds|Swaps|Batches|Soak)|FieldA23' ./host -soak 200
	$(GO) test -race -run 'Workers|Evaluate' ./trainer

test-bits: ## the same bits from every compiler and processor; needs QEMU and Node
	GOAMD64=v3 $(GO) test ./sla/... # may fuse multiply and add
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -exec qemu-aarch64-static ./sla/...
	GOOS=js GOARCH=wasm $(GO) test -exec="$$($(GO) env GOROOT)/lib/wasm/go_js_wasm_exec" ./sla/...

e2e: ## the package in Node and bundlers, parity on every target, the page in browsers; needs Node, Chromium and Firefox
	cd www && npm ci --silent --no-fund --no-audit && npm test

deploy-check: ## the Dockerfile, the image where a builder is at hand, the systemd unit; needs Node
	bash .ci/deploy

fuzz: ## every fuzz test for FUZZTIME; minimising inputs takes all the time without its limit
	@for file in $$(git grep -l '^func Fuzz' -- '*_test.go'); do \
	  for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
	    echo "$$f in $$(dirname $$file)"; \
	    $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$(dirname $$file) || exit 1; \
	  done; done

bench: ## Go's benchmarks; docs/performance.md says how the page and the other runtimes are timed
	$(GO) test -run '^$$' -bench '$(BENCH)' ./sla/... ./host ./trainer/...

generate: ## everything that is generated and committed
	$(GO) generate ./...
	$(GO) run ./cmd/internal/licences

cross: ## builds for every other system and processor, without cgo
	@for target in linux/arm64 darwin/arm64 windows/amd64; do \
	  echo "$$target"; CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./... || exit 1; done

licences: ## THIRD_PARTY_LICENCES
	$(GO) run ./cmd/internal/licences

site: ## the documentation as static files, in site/, with the page and the benchmark live in it; needs Node
	bench=$$(mktemp -d) && (cd www/bench && npm ci --silent --no-fund --no-audit && npm run --silent page -- "$$bench") && \
	  $(GO) run ./cmd/internal/docsite -out site -bench "$$bench"; status=$$?; rm -rf "$$bench"; exit $$status

sbom: build ## the bill of materials of the command as built, CycloneDX JSON
	$(GO) run $(CYCLONEDX) bin -json -std -licenses -version "$$(./quarterturn --version | sed 's/.* //')" -output quarterturn.cdx.json quarterturn

vuln: ## known vulnerabilities in what the code calls; needs https://vuln.go.dev
	$(GO) run $(GOVULNCHECK) ./...
