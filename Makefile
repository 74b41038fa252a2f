.PHONY: build test e2e race lint fmt fuzz bench generate docs check clean

build: ; CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...
test: ; CGO_ENABLED=0 go test ./...
e2e: ; scripts/e2e.sh
race: ; scripts/race.sh
lint: ; scripts/lint.sh
fmt: ; scripts/fmt.sh
fuzz: ; scripts/fuzz.sh
bench: ; scripts/bench.sh
generate: ; go generate ./...
docs: ; go run ./cmd/weightwarden docs docs/cli
check: build test lint
clean: ; rm -rf bin dist
