package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/config"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/manifest"
	"github.com/weightwarden/weightwarden/internal/scope"
)

type scopeOptions struct {
	model  string
	caches []string
}

func (o *scopeOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.model, "model", "", "`id` of the model (default: every model of the incident)")
	f.StringArrayVar(&o.caches, "cache", nil, "`directory` of a hub cache to look at beside the default ones (repeatable)")
}

func newIncidentScope(g *globals) *cobra.Command {
	var o scopeOptions
	cmd := &cobra.Command{
		Use: "scope ID", Short: "Where else is the suspect, and since when is it bad?", Args: cobra.ExactArgs(1),
		Long: `Looks for the suspect, as it was sealed, and for each of its suspect files: in
every configured model, every archived version and every hub cache (Hugging Face
layout) of this host. Contents are compared, never names. What cannot be read is
unknown and counts as affected. Other hosts and derived models are not known.

The moment since which the model is bad is concluded from the record and from the
kernel's times of change; it decides nothing by itself. To make rollback go by
it: weightwarden incident fact ID first_bad_at TIME

Exit code 1 when a place is affected, 4 when one is unknown.`,
		Example: "  weightwarden incident scope INC-20261123-ABCDEFGH --cache /srv/cache/huggingface/hub",
		RunE:    func(cmd *cobra.Command, args []string) error { return runScope(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runScope(ctx context.Context, g *globals, o scopeOptions, id string) error {
	return g.with(ctx, func(s *session) error {
		inc, err := s.fold(ctx, id)
		if err != nil {
			return err
		}
		models := inc.Models
		if o.model != "" {
			models = []string{o.model}
		}
		out := []incident.Scope{}
		affected, unknown := 0, 0
		for _, name := range models {
			m, err := s.affected(inc, name)
			if err != nil {
				return err
			}
			result, err := s.scope(ctx, inc, m, o.caches)
			if err != nil {
				return err
			}
			if err := s.append(ctx, id, incident.KindScope, result); err != nil {
				return err
			}
			affected, unknown = affected+result.Affected()-result.Unknown(), unknown+result.Unknown()
			out = append(out, result)
		}
		if err := g.print(out, func(p *printer) { printScopes(p, out) }); err != nil {
			return err
		}
		return outcome(affected > 0, false, unknown > 0)
	})
}

func printScopes(p *printer, scopes []incident.Scope) {
	for _, s := range scopes {
		p.printf("%s: %d of %s affected, %d of them not known\n", artifact.Quote(s.Model), s.Affected(), plural(len(s.Places), "place", "places"), s.Unknown())
		for _, place := range s.Places {
			if !place.Counts() {
				continue
			}
			p.printf("  %-8s  %-9s  %s", place.Verdict, place.Kind, artifact.Quote(place.Path))
			switch {
			case place.SameRoot:
				p.printf("  the whole suspect")
			case place.Matches > 0:
				p.printf("  %s", plural(place.Matches, "suspect file", "suspect files"))
			default:
				p.printf("  %s", oneLine(place.Reason))
			}
			p.printf("\n")
		}
		p.printf("first bad  %s (%s)\n", stamp(s.FirstBad), artifact.Quote(s.FirstBadSource))
	}
}

// scope looks for one model's suspect in every place that is known.
func (s *session) scope(ctx context.Context, inc *incident.Incident, m config.Model, caches []string) (incident.Scope, error) {
	now, err := sealedJSON[*manifest.Manifest](ctx, s, inc, "manifest", m.ID)
	if err != nil {
		return incident.Scope{}, err
	}
	base, err := sealedJSON[*manifest.Manifest](ctx, s, inc, "baseline", m.ID)
	if err != nil && fault.KindOf(err) != fault.Refused {
		return incident.Scope{}, err
	}
	suspect := scope.NewSuspect(now, base)
	out := incident.Scope{Model: m.ID, Root: suspect.Root, Suspects: len(suspect.Bad), Places: []incident.Place{}}
	progress := newProgress(s.globals)
	defer progress.done()
	for _, t := range s.places(caches) {
		progress.line("looking at %s", artifact.Quote(t.Path))
		place, err := suspect.Look(ctx, t)
		if err != nil {
			return out, err
		}
		out.Places = append(out.Places, place)
	}
	times, err := sealedJSON[[]scope.Changed](ctx, s, inc, "attributes", m.ID)
	if err != nil {
		out.Missing = append(out.Missing, "times of change: "+err.Error())
	}
	out.FirstBad, out.FirstBadSource, out.Considered = scope.FirstBad(inc, suspectTimes(suspect, times))
	return out, nil
}

// suspectTimes keeps the times of the files that are suspect.
func suspectTimes(s *scope.Suspect, times []scope.Changed) []scope.Changed {
	bad := map[string]bool{}
	for _, f := range s.Files {
		bad[artifact.Quote(f.Path)] = s.Bad[f.Digest]
	}
	var out []scope.Changed
	for _, t := range times {
		if bad[t.Path] {
			out = append(out, t)
		}
	}
	return out
}

// places lists what there is to look at: models, versions, caches.
func (s *session) places(caches []string) []scope.Target {
	var out []scope.Target
	archives := map[string]bool{}
	for _, m := range s.conf.Models {
		out = append(out, scope.Target{Kind: scope.Model, Model: m.ID, Path: m.Path})
		if dir := s.archive(m); dir != "" && !archives[dir] {
			archives[dir] = true
			out = append(out, scope.Versions(dir)...)
		}
	}
	homes, _ := filepath.Glob("/home/*") // the pattern is a good one
	for _, dir := range caches {
		if found := scope.Repositories(dir); len(found) > 0 {
			out = append(out, found...)
		} else {
			out = append(out, scope.Target{Kind: scope.HubCache, Path: dir}) // named, so it is looked at whatever it is
		}
	}
	for _, dir := range scope.Caches(s.Getenv, homes) {
		out = append(out, scope.Repositories(dir)...)
	}
	return out
}

// sealedJSON reads the newest sealed item of a type back from the vault.
// Without one it is Refused: the scope is that of what was sealed.
func sealedJSON[T any](ctx context.Context, s *session, inc *incident.Incident, kind, name string) (v T, err error) {
	var item evidence.Item
	for _, i := range inc.Evidence {
		if i.Type == kind && i.Name == name {
			item = i
		}
	}
	if item.SHA256.IsZero() {
		return v, fault.New(fault.Refused, "no %s of model %s is sealed", kind, artifact.Quote(name)).
			WithHint("seal the evidence first: weightwarden incident assess %s", inc.ID)
	}
	r, err := s.vault.Get(ctx, item.SHA256)
	if err != nil {
		return v, err
	}
	dec := json.NewDecoder(r)
	err = dec.Decode(&v)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // the digest is compared at the end
	}
	return v, errors.Join(err, r.Close())
}
