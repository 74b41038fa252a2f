package assess

import (
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/baseline"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/trust"
)

// selectFiles says which paths of the model to copy, and as what: signature
// material always; what differs from the baseline or is on the deny-list; all
// of it where there is no baseline, where the model as a whole is on the
// deny-list, or where everything is asked for.
func selectFiles(now *manifest.Manifest, base *baseline.Baseline, state *trust.State, full bool) map[string]string {
	out := map[string]string{}
	_, deniedRoot := state.DeniedAmong(now.Root(), nil)
	all := full || base == nil || deniedRoot
	for _, f := range now.Files {
		_, denied := state.Denied(trust.File, f.Digest.String())
		switch {
		case isSignature(f.Path):
			out[f.Path] = "signature"
		case f.Kind != artifact.Directory && (all || denied && !f.Digest.IsZero()):
			out[f.Path] = "model_file"
		}
	}
	if base == nil {
		return out
	}
	for _, c := range manifest.Compare(base.Manifest, now) {
		if _, is := out[c.Path]; !is && c.Kind != manifest.Missing && c.Got.Kind != artifact.Directory {
			out[c.Path] = "model_file"
		}
	}
	for _, p := range now.Problems {
		if _, is := out[p.Path]; !is {
			out[p.Path] = "model_file"
		}
	}
	return out
}

// isSignature reports whether a path is where signatures are looked for.
func isSignature(path string) bool {
	return path == "model.sig" || strings.HasPrefix(path, ".signatures/")
}
