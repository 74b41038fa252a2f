package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/bundle"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/fsop"
	"github.com/weightwarden/weightwarden/internal/incident"
)

func newEvidence(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "evidence", Short: "Sealed evidence: show, take out, hand over, verify",
		Long: `Evidence is sealed by incident assess and never changed or removed. Whoever takes
a copy out of the vault or hands one over leaves an entry in the record.`,
	}
	cmd.AddCommand(newEvidenceVerify(g), newEvidenceShow(g), newEvidenceGet(g), newEvidenceTransfer(g))
	return cmd
}

type evidenceVerifyOptions struct {
	key, identity, roots string
	checkpoints          []string
}

func (o *evidenceVerifyOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.key, "key", "", "verifier `key` that must have sealed the bundle (content of state.pub, or a file with it)")
	f.StringArrayVar(&o.checkpoints, "checkpoint", nil, "`file` with a checkpoint that was kept elsewhere (repeatable)")
	f.StringVar(&o.roots, "timestamp-roots", "", "PEM `file` of the root certificates of time stamping authorities to trust")
	f.StringVar(&o.identity, "identity", "", "`file` with the age identity that an encrypted bundle is for")
}

func newEvidenceVerify(g *globals) *cobra.Command {
	var o evidenceVerifyOptions
	cmd := &cobra.Command{
		Use: "verify BUNDLE", Short: "Has an exported bundle been altered? Needs nothing but the file", Args: cobra.ExactArgs(1),
		Long: `Verifies a bundle of incident export, offline and without a state directory: every
byte of the file, the signature over it, the chains of both records, their
checkpoints, the signatures of approvals, and that the evidence is what the record
says was sealed. What was altered, taken out, added or moved is named with its place in the file.

Without --key the bundle is verified with the key in it. That proves that
nothing changed since it was sealed, not who sealed it: whoever can replace the
whole file can seal another. The output says which of the two was proven.

Time stamps in the record are verified with --timestamp-roots, at the time that
they name; without it they are shown and called unverified.

Exit code 1 when anything is altered, 3 when the bundle is intact but sealed by
another key than --key or has a time stamp that does not verify, 4 when the file is no bundle or cannot be read.`,
		Example: "  weightwarden evidence verify case.tar --key \"$(cat state.pub)\" --checkpoint inc.checkpoint",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEvidenceVerify(cmd.Context(), g, o, args[0])
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// bundleVerification is what evidence verify prints.
type bundleVerification struct {
	File    string `json:"file"`
	Verdict string `json:"verdict"`
	*bundle.Report
	Stamps []stamped `json:"time_stamps,omitempty"`
}

func runEvidenceVerify(ctx context.Context, g *globals, o evidenceVerifyOptions, path string) error {
	options, err := o.options()
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fault.New(fault.Invalid, "open bundle %s: %w", artifact.Quote(path), cause(err)).
			WithHint("check the path; a bundle is made with: weightwarden incident export ID -f BUNDLE")
	}
	defer func() { _ = f.Close() }()
	content, size, err := o.content(f)
	if err != nil {
		return err
	}
	report, err := bundle.Verify(ctx, content, size, options)
	if err != nil {
		return err
	}
	out := bundleVerification{path, "intact", report, nil}
	var trusted bool
	if out.Stamps, trusted, err = verifyStamps(report.Stamps, o.roots); err != nil {
		return err
	}
	untrusted := report.Untrusted || !trusted
	switch {
	case !report.Intact():
		out.Verdict = "altered"
	case untrusted:
		out.Verdict = "untrusted"
	}
	if err := g.print(out, func(p *printer) { printBundle(p, out) }); err != nil {
		return err
	}
	return outcome(!report.Intact(), untrusted, false)
}

// options reads key and checkpoints.
func (o *evidenceVerifyOptions) options() (bundle.Options, error) {
	var out bundle.Options
	if o.key != "" {
		text := o.key
		if data, err := readCheckpoint(o.key); err == nil {
			text = data
		}
		key, err := evidence.ParseVerifierKey(text)
		if err != nil {
			return out, usage("--key: %v", err)
		}
		out.Key = &key
	}
	for _, path := range o.checkpoints {
		note, err := readCheckpoint(path)
		if err != nil {
			return out, err
		}
		out.Checkpoints = append(out.Checkpoints, note)
	}
	return out, nil
}

// content returns the bundle in a file, decrypted where it is encrypted.
func (o *evidenceVerifyOptions) content(f *os.File) (io.ReaderAt, int64, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, fault.New(fault.Incomplete, "open bundle: %w", err)
	case !info.Mode().IsRegular():
		return nil, 0, fault.New(fault.Invalid, "open bundle: %s is a %s, not a file", artifact.Quote(f.Name()), artifact.KindOf(info.Mode()))
	case !bundle.IsEncrypted(f):
		return f, info.Size(), nil
	case o.identity == "":
		return nil, 0, fault.New(fault.Incomplete, "the bundle is encrypted").WithHint("name the file with the age identity: --identity FILE")
	}
	identity, err := os.Open(o.identity)
	if err != nil {
		return nil, 0, fault.New(fault.Invalid, "open identity: %w", err)
	}
	defer func() { _ = identity.Close() }()
	return bundle.Decrypt(f, info.Size(), identity)
}

func printBundle(p *printer, v bundleVerification) {
	p.printf("%s  %s: %s, %s, %s\n", artifact.Quote(v.File), v.Verdict, plural(int(v.Entries), "entry", "entries"),
		plural(v.Items, "sealed item", "sealed items"), bytesText(v.Bytes))
	for _, problem := range v.Problems {
		p.printf("  %-9s  %s at byte %d: %s\n", problem.Kind, artifact.Quote(problem.Member), problem.Offset, oneLine(problem.Detail))
	}
	if v.Incident != "" {
		p.printf("%s, exported %s by %s\n", artifact.Quote(v.Incident), stamp(v.ExportedAt), artifact.Quote(v.ExportedBy))
	}
	if v.KeyFrom != "" {
		p.printf("sealed by %s\n", v.Key)
	}
	printStamps(p, v.Stamps)
	for _, n := range v.Notes {
		p.printf("note: %s\n", oneLine(n))
	}
}

// sealedItem finds an item by its digest or a beginning of it that is unique.
func sealedItem(inc *incident.Incident, digest string) (evidence.Item, error) {
	var found evidence.Item
	for _, item := range inc.Evidence {
		if len(digest) < 8 || !strings.HasPrefix(item.SHA256.Hex(), strings.ToLower(digest)) || item.SHA256 == found.SHA256 {
			continue
		}
		if !found.SHA256.IsZero() {
			return found, usage("several items begin with %.70q: give more of the digest", digest)
		}
		found = item
	}
	if found.SHA256.IsZero() {
		return found, fault.New(fault.NotFound, "incident %s has no evidence %.70q", inc.ID, digest).
			WithHint("list it: weightwarden evidence show %s", inc.ID)
	}
	return found, nil
}

// itemCustody is an item and what was done with it.
type itemCustody struct {
	evidence.Item
	Custody []incident.CustodyAt `json:"custody"`
}

func newEvidenceShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show ID [DIGEST]", Short: "Sealed evidence of an incident and its custody", Args: cobra.RangeArgs(1, 2),
		Long: `Lists what was sealed, where it came from, what it lacks, and who took or got
a copy. That is read from the record; it is no access to the evidence.`,
		Example: "  weightwarden evidence show INC-20261123-ABCDEFGH",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(s *session) error {
				inc, err := s.fold(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				items := inc.Evidence
				if len(args) == 2 {
					item, err := sealedItem(inc, args[1])
					if err != nil {
						return err
					}
					items = []evidence.Item{item}
				}
				out := withCustody(inc, items)
				return g.print(out, func(p *printer) { printCustody(p, out) })
			})
		},
	}
}

// withCustody adds what was done with each item, and with all of them.
func withCustody(inc *incident.Incident, items []evidence.Item) []itemCustody {
	out := []itemCustody{}
	for _, item := range items {
		one := itemCustody{item, []incident.CustodyAt{}}
		for _, c := range inc.Custody {
			if c.SHA256 == item.SHA256 || c.Event == incident.Exported && !c.At.Before(item.CollectedAt) {
				one.Custody = append(one.Custody, c)
			}
		}
		out = append(out, one)
	}
	return out
}

func printCustody(p *printer, items []itemCustody) {
	for _, i := range items {
		p.printf("%s  %-12s  %s  %s  %s\n", short(i.SHA256.String()), i.Type, stamp(i.CollectedAt), bytesText(i.Size), artifact.Quote(i.Name))
		for _, m := range i.Missing {
			p.printf("  lacks: %s\n", oneLine(m))
		}
		for _, c := range i.Custody {
			p.printf("  %-11s  %s  by %s  to %s  %s\n", c.Event, stamp(c.At), artifact.Quote(cmp.Or(c.Person, c.By)), artifact.Quote(c.To), artifact.Quote(c.Reason))
		}
	}
	p.printf("%s\n", plural(len(items), "item", "items"))
}

type evidenceGetOptions struct {
	personOptions
	file, reason string
}

func newEvidenceGet(g *globals) *cobra.Command {
	var o evidenceGetOptions
	cmd := &cobra.Command{
		Use: "get ID DIGEST -f FILE --reason TEXT", Short: "Take a verified copy out of the vault", Args: cobra.ExactArgs(2),
		Long: `Copies one sealed item into a new file, mode 0600, and verifies it on the way.
The access is an entry of the record, written before the copy has its name.
The copy may be hostile: look at it as bytes.

Where people are named this takes the role responder, commander or legal; anybody
else is refused (exit code 5), and that is an entry too.`,
		Example: `  weightwarden evidence get INC-20261123-ABCDEFGH 9f86d081884c -f suspect.bin --reason "reverse engineering"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEvidenceGet(cmd.Context(), g, o, args[0], args[1])
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "the `file` to write; must not exist")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; kept in the record")
	_ = cmd.MarkFlagRequired("file")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func runEvidenceGet(ctx context.Context, g *globals, o evidenceGetOptions, id, digest string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		item, err := sealedItem(inc, digest)
		if err != nil {
			return err
		}
		r, err := s.handling(ctx, inc, o.personOptions, "evidence get", takes())
		if err != nil {
			return err
		}
		custody := incident.Custody{Event: incident.Accessed, SHA256: item.SHA256, Name: item.Name, Reason: o.reason, To: o.file}
		if err := s.takeOut(ctx, r, id, item, custody); err != nil {
			return err
		}
		return g.print(custody, func(p *printer) {
			p.printf("%s: %s, SHA-256 %s\n", artifact.Quote(o.file), bytesText(item.Size), item.SHA256)
		})
	})
}

func (s *session) takeOut(ctx context.Context, by handler, id string, item evidence.Item, custody incident.Custody) (err error) {
	r, err := s.vault.Get(ctx, item.SHA256)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	f, err := os.OpenFile(custody.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usage("%s exists already: name another file with -f", artifact.Quote(custody.To))
	}
	if err != nil {
		return fault.New(fault.Incomplete, "write copy: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(custody.To)) // an unrecorded or damaged copy is none
		}
	}()
	if _, err := fsop.Copy(ctx, f, r); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return by.record(ctx, id, custody)
}

type evidenceTransferOptions struct {
	personOptions
	to, reason string
}

func newEvidenceTransfer(g *globals) *cobra.Command {
	var o evidenceTransferOptions
	cmd := &cobra.Command{
		Use: "transfer ID DIGEST --to WHOM --reason TEXT", Short: "Record that somebody else got a copy", Args: cobra.ExactArgs(2),
		Long: `Puts on record who got a copy of a sealed item, and why.

Where people are named this takes the role commander or legal; anybody else is
refused (exit code 5), and that is an entry too.`,
		Example: `  weightwarden evidence transfer INC-20261123-ABCDEFGH 9f86d081884c --to "J. Doe, CERT" --reason "case 17"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEvidenceTransfer(cmd.Context(), g, o, args[0], args[1])
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.to, "to", "", "`whom` it was given to")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why; kept in the record")
	_ = cmd.MarkFlagRequired("to")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func runEvidenceTransfer(ctx context.Context, g *globals, o evidenceTransferOptions, id, digest string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		item, err := sealedItem(inc, digest)
		if err != nil {
			return err
		}
		r, err := s.handling(ctx, inc, o.personOptions, "evidence transfer", gives())
		if err != nil {
			return err
		}
		custody := incident.Custody{Event: incident.Transferred, SHA256: item.SHA256, Name: item.Name, Reason: o.reason, To: o.to}
		if err := r.record(ctx, inc.ID, custody); err != nil {
			return err
		}
		return g.print(custody, func(p *printer) { p.printf("%s: recorded\n", inc.ID) })
	})
}
