package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/bundle"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/trust"
)

type exportOptions struct {
	personOptions
	file, reason, timestamp string
	recipients              []string
}

func (o *exportOptions) addFlags(f *pflag.FlagSet) {
	o.personOptions.addFlags(f)
	f.StringVarP(&o.file, "file", "f", "", "the `file` to write; must not exist")
	f.StringVar(&o.reason, "reason", "", "why it is exported, and for whom; kept in the record")
	f.StringVar(&o.timestamp, "timestamp", "", "have the time stamping authority (RFC 3161) at this `URL` stamp the record first; the only thing that uses the network")
	f.StringArrayVar(&o.recipients, "encrypt-to", nil, "encrypt to this age `recipient` (repeatable)")
}

func newIncidentExport(g *globals) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use: "export ID -f BUNDLE", Short: "Write record and evidence into one file that verifies offline", Args: cobra.ExactArgs(1),
		Long: `Writes a bundle: the record of the incident and of the host, every checkpoint,
the verifier key and every sealed item, in one tar file under one signature.
It verifies anywhere: weightwarden evidence verify BUNDLE

Record and evidence are verified first. What was altered is exported as it is,
because that is evidence too; the bundle says so, does not verify as intact,
and the exit code is 1. The export is an entry of the record.

With --timestamp an authority confirms that the record existed at that time: it
is sent the digest of the newest checkpoint, and its answer becomes an entry, so
that it is in the bundle too. Without an answer nothing is exported.

Where people are named this takes the role commander or legal; anybody else is
refused (exit code 5), and that is an entry too.`,
		Example: `  weightwarden incident export INC-20261123-ABCDEFGH -f case.tar --reason "for counsel"
  weightwarden incident export INC-20261123-ABCDEFGH -f case.tar.age --encrypt-to age1…`,
		RunE: func(cmd *cobra.Command, args []string) error { return runExport(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

// exported is what incident export prints.
type exported struct {
	IncidentID string `json:"incident_id"`
	File       string `json:"file"`
	Encrypted  bool   `json:"encrypted"`
	bundle.Summary
}

func runExport(ctx context.Context, g *globals, o exportOptions, id string) error {
	if err := incident.CheckID(id); err != nil {
		return err
	}
	return g.with(ctx, func(s *session) error {
		r, err := s.exporting(ctx, id, o.personOptions)
		if err != nil {
			return err
		}
		if err := s.timestamp(ctx, id, o.timestamp); err != nil {
			return err
		}
		source, err := s.exportSource(ctx, id)
		if err != nil {
			return err
		}
		progress := newProgress(g)
		source.Progress = func(name string) { progress.line("exporting %s", artifact.Quote(name)) }
		out := exported{IncidentID: id, File: o.file, Encrypted: len(o.recipients) > 0}
		out.Summary, err = exportTo(ctx, o, source)
		progress.done()
		if err != nil {
			return err
		}
		recordErr := r.record(ctx, id, incident.Custody{
			Event: incident.Exported, SHA256: out.SHA256, Name: "bundle", Reason: o.reason, To: o.file,
		})
		if recordErr != nil {
			// An altered record takes no more entries; the bundle is written.
			out.Altered = append(out.Altered, "the export could not be recorded: "+recordErr.Error())
		}
		if err := g.print(out, func(p *printer) { printExport(p, out) }); err != nil {
			return err
		}
		return outcome(len(out.Altered) > 0, false, false)
	})
}

func printExport(p *printer, out exported) {
	p.printf("%s: %s, %s, %s\n", artifact.Quote(out.File), plural(out.Entries, "entry", "entries"),
		plural(out.Items, "sealed item", "sealed items"), bytesText(out.Bytes))
	for _, a := range out.Altered {
		p.printf("  altered: %s\n", oneLine(a))
	}
	p.printf("sealed with %s\nverify: weightwarden evidence verify %s --key '%s'\n", out.Key, artifact.Quote(out.File), out.Key)
}

// exportSource reads and verifies the logs.
func (s *session) exportSource(ctx context.Context, id string) (bundle.Source, error) {
	source := bundle.Source{
		Key: s.key, By: s.Actor, Now: s.Now(), Clock: fsop.ClockNote(),
		Open: func(_ context.Context, d artifact.Digest) (io.ReadCloser, error) { return s.vault.Open(d) },
	}
	for log, state := range map[string]*evidence.LogState{id: &source.Incident, trust.Log: &source.Host} {
		var err error
		if *state, err = s.ledger.State(ctx, log); err != nil {
			return source, err
		}
	}
	if len(source.Incident.Rows)+len(source.Incident.Notes) == 0 {
		return source, fault.New(fault.NotFound, "there is no incident %s", id).WithHint("list the incidents: weightwarden incident list")
	}
	for _, state := range []evidence.LogState{source.Incident, source.Host} {
		for _, p := range evidence.VerifyLog(state, s.key.Public()) {
			source.Altered = append(source.Altered, string(p.Kind)+" in record "+state.Log+": "+p.Detail)
		}
	}
	return source, nil
}

// exportTo writes the bundle under another name and gives it its own when it
// is complete and synced.
func exportTo(ctx context.Context, o exportOptions, source bundle.Source) (sum bundle.Summary, err error) {
	if _, err := os.Lstat(o.file); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fault.New(fault.Invalid, "write bundle: %s exists already", artifact.Quote(o.file)).WithHint("name another file with -f")
		}
		return sum, err
	}
	dir := filepath.Dir(o.file)
	f, err := os.CreateTemp(dir, "."+filepath.Base(o.file)+".tmp-*") // mode 0600
	if err != nil {
		return sum, fault.New(fault.Incomplete, "write bundle: %w", err).WithHint("name a file in a directory that can be written, with -f")
	}
	defer func() {
		if rmErr := os.Remove(f.Name()); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	if sum, err = writeBundle(ctx, f, o, source); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsop.RenameNoReplace(f.Name(), o.file)
	}
	if err == nil {
		err = fsop.SyncDir(dir)
	}
	if fsop.IsFull(err) {
		err = fault.New(fault.Incomplete, "write bundle: %w", err).WithHint("free space there, or name a file on another disk with -f")
	}
	return sum, err
}

func writeBundle(ctx context.Context, w io.Writer, o exportOptions, source bundle.Source) (bundle.Summary, error) {
	if len(o.recipients) == 0 {
		return bundle.Write(ctx, w, source)
	}
	enc, err := bundle.Encrypt(w, o.recipients...)
	if err != nil {
		return bundle.Summary{}, err
	}
	sum, err := bundle.Write(ctx, enc, source)
	return sum, errors.Join(err, enc.Close())
}
