package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	authority "github.com/weightwarden/weightwarden/internal/stamp"
)

// timestamp has the authority at address stamp the newest checkpoint of the
// record and keeps its answer in the record. An altered record is not stamped:
// the stamp would vouch for what was altered.
func (s *session) timestamp(ctx context.Context, id, address string) error {
	if address == "" {
		return nil
	}
	state, err := s.ledger.State(ctx, id)
	if err != nil {
		return err
	}
	if len(state.Rows)+len(state.Notes) == 0 {
		return noRecord(id)
	}
	if problems := evidence.VerifyLog(state, s.key.Public()); len(problems) > 0 {
		return fault.New(fault.Incomplete, "time stamp: the record was altered: %s", problems[0].Detail).
			WithHint("export it as it is, without --timestamp")
	}
	note := state.Notes[len(state.Notes)-1]
	answer, got, err := authority.Client{Random: s.Random}.Ask(ctx, address, note)
	if err != nil {
		return err
	}
	r := s.responder()
	return r.Record(ctx, id, r.Draft(incident.KindStamped, incident.Stamped{
		Checkpoint: note, SHA256: artifact.SHA256Of([]byte(note)), Response: answer,
		Authority: address, StampedAt: got.Time, Signer: got.Signer,
	}))
}

// stamped is a time stamp as evidence verify prints it.
type stamped struct {
	Time   time.Time `json:"time"`
	Signer string    `json:"signer"`
	Serial string    `json:"serial"`
	Policy string    `json:"policy"`
	// Covers is the digest of the checkpoint that was stamped.
	Covers artifact.Digest `json:"checkpoint_sha256"`
	// Verdict is verified, unverified where no roots were given, or untrusted.
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
}

// verifyStamps verifies time stamps against the root certificates in the file
// trusted, if one is named. good is false where one does not verify.
func verifyStamps(list []incident.Stamped, trusted string) (out []stamped, good bool, err error) {
	var roots []*x509.Certificate
	if trusted != "" {
		if roots, err = readRoots(trusted); err != nil {
			return nil, false, err
		}
	}
	good = true
	for _, s := range list {
		got, err := authority.Verify(s.Response, s.Checkpoint, roots)
		line := stamped{
			Time: got.Time, Signer: got.Signer, Serial: got.Serial, Policy: got.Policy,
			Covers: artifact.SHA256Of([]byte(s.Checkpoint)), Verdict: "verified",
		}
		switch {
		case errors.Is(err, authority.ErrNoRoots):
			line.Verdict = "unverified"
		case err != nil:
			line.Verdict, line.Reason, good = "untrusted", err.Error(), false
		}
		out = append(out, line)
	}
	return out, good, nil
}

// maxRootsFile bounds what is read as certificates, in bytes.
const maxRootsFile = 1 << 20

func readRoots(path string) ([]*x509.Certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "--timestamp-roots: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxRootsFile))
	if err != nil {
		return nil, fault.New(fault.Incomplete, "--timestamp-roots: %w", err)
	}
	roots, err := authority.ParseRoots(data)
	if err != nil {
		return nil, usage("--timestamp-roots: %s: %v", artifact.Quote(path), err).WithHint("name a PEM file of certificates")
	}
	return roots, nil
}

func printStamps(p *printer, list []stamped) {
	for _, s := range list {
		p.printf("time stamp  %s  %s by %s\n", stamp(s.Time), s.Verdict, artifact.Quote(s.Signer))
		switch s.Verdict {
		case "unverified":
			p.printf("            to verify it: --timestamp-roots FILE\n")
		case "untrusted":
			p.printf("            %s\n", oneLine(s.Reason))
		}
	}
}
