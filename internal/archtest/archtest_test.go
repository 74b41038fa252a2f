// Package archtest keeps the arrows between packages pointing one way.
//
// The table is the architecture. A new package fails the test until it has a
// row, so that where it belongs is decided once, in review, and not by whoever
// imports it first.
package archtest

import (
	"slices"
	"strings"
	"testing"
)

type row struct {
	pkg     string
	inside  string // of this module
	outside string // beyond the standard library
}

const module = "github.com/weightwarden/weightwarden/"

// rows say what a package may import of this module and from outside it. The
// first match counts; "x/..." is x and everything below it.
var rows = []row{
	// nouns: no I/O, no clock, nothing beyond the standard library
	{"internal/fault", "", ""},
	{"internal/artifact", "", ""},
	{"internal/finding", "", ""},
	{"internal/atlas", "", ""},
	{"internal/outbox", "", ""},
	{"internal/stableid", "", ""},
	{"internal/indicator", "internal/artifact internal/finding", ""},
	{"internal/evidence", "internal/artifact internal/fault", ""},
	{"internal/trust", "internal/artifact internal/evidence internal/fault", ""},
	{"internal/action", "internal/artifact internal/fault internal/finding", ""},
	{"internal/verdict", "internal/artifact internal/evidence internal/finding", ""},
	{"internal/cluster", "internal/action internal/artifact internal/fault internal/verdict", ""},
	{"internal/approval", "internal/artifact", ""},
	{"internal/lease", "internal/evidence", ""},
	{"internal/incident", "internal/action internal/approval internal/artifact internal/evidence internal/fault internal/finding internal/indicator", ""},

	// file operations that the standard library lacks; below everything that touches files
	{"internal/fsop", "internal/artifact internal/fault", "golang.org/x/sys/unix"},

	// engines: bytes and nouns in, nouns out
	{"internal/manifest", "internal/artifact internal/fault internal/fsop", "golang.org/x/sys/unix"},
	{"internal/layout", "internal/artifact internal/fault internal/manifest", "go.yaml.in/yaml/v4"},
	{"internal/oms", "internal/artifact internal/fault internal/manifest", "golang.org/x/crypto/blake2b github.com/zeebo/blake3"},

	// the only importer of sigstore, and the only engine that may talk to a
	// network: when it signs, with the services that it was told
	{"internal/oms/keyless", "internal/artifact internal/fault internal/oms", "github.com/sigstore/sigstore-go"},
	{"internal/baseline", "internal/artifact internal/evidence internal/fault internal/finding internal/indicator internal/manifest internal/trust", ""},
	{"internal/drift", "internal/indicator", ""},
	{"internal/pyenv", "internal/artifact internal/indicator", ""},
	{"internal/check", "internal/artifact internal/baseline internal/drift internal/evidence internal/fault internal/finding internal/fsop internal/indicator internal/layout internal/manifest internal/oms internal/pyenv internal/trust", ""},

	// the scanner: formats know bytes, detectors know formats
	{"internal/format/yaml", "", "go.yaml.in/yaml/v4"},
	{"internal/format/lzma", "", "github.com/ulikunitz/xz/lzma"},
	{"internal/format/...", "internal/format/...", ""},
	{"internal/sniff", "internal/artifact internal/format/...", ""},
	{"internal/detect/catalog", "internal/detect/...", ""},
	{"internal/detect/compressed", "internal/artifact internal/detect internal/finding internal/format/...", "github.com/klauspost/compress/zstd github.com/pierrec/lz4/v4"},
	{"internal/detect/...", "internal/artifact internal/detect internal/finding internal/format/...", ""},
	{"internal/scan", "internal/artifact internal/detect internal/fault internal/finding internal/fsop internal/manifest internal/report internal/sniff", ""},

	{"internal/hunt", "internal/artifact internal/finding", ""},
	{"internal/investigate", "internal/artifact internal/fault internal/finding internal/fsop internal/incident internal/manifest internal/oms internal/sniff", ""},
	{"internal/assess", "internal/artifact internal/baseline internal/evidence internal/fault internal/fsop internal/incident internal/layout internal/manifest internal/trust", ""},
	{"internal/bundle", "internal/artifact internal/evidence internal/fault internal/incident", "filippo.io/age"},
	{"internal/scope", "internal/artifact internal/fsop internal/incident internal/manifest", ""},
	{"internal/knowngood", "internal/artifact internal/fault internal/manifest internal/oms internal/trust", ""},
	{"internal/respond", "internal/action internal/approval internal/artifact internal/baseline internal/evidence internal/fault internal/finding internal/incident internal/indicator internal/layout internal/lease internal/manifest internal/trust", ""},
	{"internal/timeline", "internal/action internal/approval internal/artifact internal/evidence internal/finding internal/incident internal/indicator", ""},
	{"internal/message", "internal/action internal/artifact internal/fault internal/incident internal/indicator", "go.yaml.in/yaml/v4"},
	{"internal/clock", "internal/action internal/artifact internal/fault internal/incident", "go.yaml.in/yaml/v4"},
	{"internal/playbook", "internal/action internal/artifact internal/atlas internal/fault internal/incident internal/stableid", "go.yaml.in/yaml/v4"},
	{"internal/report", "internal/action internal/artifact internal/atlas internal/clock internal/evidence internal/finding internal/incident internal/indicator internal/playbook internal/stableid internal/timeline", ""},

	{"internal/census", "internal/artifact internal/cluster internal/evidence internal/fault internal/verdict", ""},

	// adapters: one technology each, never import each other
	{"internal/store", "internal/artifact internal/evidence internal/fault internal/lease internal/outbox", "modernc.org/sqlite"},
	{"internal/store/storetest", "internal/artifact internal/evidence internal/fault internal/lease internal/outbox internal/store", "github.com/google/go-cmp"},
	{"internal/signer", "internal/approval internal/artifact internal/evidence internal/fault internal/oms", "golang.org/x/crypto"},
	// asks for time stamps, and verifies them
	{"internal/stamp", "internal/artifact internal/fault", "github.com/digitorus/timestamp github.com/sigstore/timestamp-authority/v2"},
	{"internal/vault", "internal/artifact internal/evidence internal/fault internal/fsop", ""},
	{"internal/collect", "internal/artifact internal/fault", ""},
	// says in a cluster what the agent sees
	{"internal/announce", "internal/artifact internal/cluster internal/evidence internal/fault internal/verdict", ""},
	{"internal/contain/catalog", "internal/action internal/artifact internal/cluster internal/fault internal/contain/...", ""},
	{"internal/contain/...", "internal/action internal/artifact internal/census internal/cluster internal/fault internal/finding internal/fsop internal/verdict", ""},

	// the only importer of Kubernetes code
	{"internal/kube", "internal/action internal/cluster internal/fault", "k8s.io/apimachinery k8s.io/client-go"},
	{"internal/watch", "internal/artifact", "golang.org/x/sys/unix"},
	{"internal/deploy", "internal/artifact internal/cluster internal/fault", "go.yaml.in/yaml/v4"},
	{"internal/deploy/charttest", "", "go.yaml.in/yaml/v4"}, // for tests
	{"internal/rollout", "internal/artifact internal/cluster internal/fault", ""},
	{"internal/metrics", "", ""},
	{"internal/systemd", "internal/artifact internal/fault internal/fsop", "github.com/godbus/dbus/v5 golang.org/x/sys/unix"},

	// connections to somebody else, under a policy
	{"internal/egress", "internal/artifact", ""},
	{"internal/notify", "internal/artifact internal/cluster internal/finding internal/indicator", ""},
	{"internal/notify/catalog", "internal/notify/...", ""},
	{"internal/notify/...", "internal/artifact internal/cluster internal/egress internal/fault internal/finding internal/indicator internal/notify", ""},

	// processes
	{"internal/agent", "internal/artifact internal/check internal/clock internal/evidence internal/fault internal/finding internal/indicator internal/notify internal/outbox internal/trust internal/verdict internal/watch", ""},

	// surface: the command line sees everything; nothing sees it but main
	{"internal/config", "internal/approval internal/artifact internal/drift internal/egress internal/evidence internal/fault internal/finding internal/notify internal/notify/catalog internal/pyenv internal/verdict", "go.yaml.in/yaml/v4"},
	{"internal/cli", "internal/...", "github.com/spf13"},
	{"cmd/weightwarden", "internal/cli", "golang.org/x/term"},

	// not part of the program
	{"internal/archtest", "", ""},
	{"internal/atlas/gen", "", "go.yaml.in/yaml/v4"},
	{"internal/cli/crashtest", "", ""}, // tests only
	{"internal/kube/e2e", "", ""},
	{"internal/cli/modeltest", "", ""}, // tests only
	{"scripts/atlas", "internal/atlas/gen", ""},
	{"bench/...", "", ""}, // tests only

	// what make e2e runs against, in modules of their own
	{"tools/e2e/...", "", "go.etcd.io/etcd/server/v3 k8s.io/kubernetes k8s.io/component-base github.com/spf13/cobra"},
}

func TestImports(t *testing.T) {
	used := map[string]bool{}
	for dir, imports := range imports(t) {
		i := slices.IndexFunc(rows, func(r row) bool { return match(dir, r.pkg) })
		if i < 0 {
			t.Errorf("%s has no row: say what it may import", dir)
			continue
		}
		used[rows[i].pkg] = true
		for _, path := range imports {
			to, ours := strings.CutPrefix(path, module)
			switch {
			case ours && !matchAny(to, rows[i].inside):
				t.Errorf("%s may not import %s", dir, to)
			case !ours && strings.Contains(path, ".") && !matchAny(path, rows[i].outside):
				t.Errorf("%s may not import %s", dir, path)
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if !used[r.pkg] || seen[r.pkg] {
			t.Errorf("row %s matches no package, or is there twice", r.pkg)
		}
		seen[r.pkg] = true
	}
}

// imports returns the import paths of the repository's packages by folder. A
// package of tests only is a package too, but what tests import is left out.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	byDir := map[string][]string{}
	for _, s := range sources(t) {
		byDir[s.dir()] = append(byDir[s.dir()], "")
		if !s.isTest() {
			byDir[s.dir()] = append(byDir[s.dir()], s.imports(t)...)
		}
	}
	return byDir
}

func match(path, pattern string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return path == pattern
}

// matchAny also lets a third-party module's own sub-packages through.
func matchAny(path, patterns string) bool {
	return slices.ContainsFunc(strings.Fields(patterns), func(p string) bool {
		return match(path, p) || strings.Contains(p, ".") && strings.HasPrefix(path, p+"/")
	})
}
