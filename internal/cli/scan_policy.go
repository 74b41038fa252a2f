package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
)

// maxPolicy is the largest policy file that is read, in bytes.
const maxPolicy = 1 << 20

// policyFile is what an organisation allows beyond the built-in names.
type policyFile struct {
	Allow []struct {
		Module string `json:"module"`
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"allow"`
}

// policy is the set of names of a policy file.
type policy map[[2]string]bool

// Allows implements [detect.Names].
func (p policy) Allows(module, name string) bool { return p[[2]string{module, name}] }

// readPolicy reads the policy file, if one is given. Names are exact: a
// wildcard would allow what nobody looked at.
func readPolicy(path string) (detect.Names, error) {
	names := policy{}
	if path == "" {
		return names, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usage("read policy: %w", err)
	}
	defer func() { _ = f.Close() }()
	dec := json.NewDecoder(io.LimitReader(f, maxPolicy))
	dec.DisallowUnknownFields()
	var file policyFile
	if err := dec.Decode(&file); err != nil {
		return nil, usage("read policy %s: %w", artifact.Quote(path), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, usage("read policy %s: more than one document", artifact.Quote(path))
	}
	for n, a := range file.Allow {
		if a.Module == "" || a.Name == "" || a.Name == "*" || a.Reason == "" {
			return nil, usage("read policy %s: entry %d needs a module, an exact name and a reason", artifact.Quote(path), n+1)
		}
		names[[2]string{a.Module, a.Name}] = true
	}
	return names, nil
}
