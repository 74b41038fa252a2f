package report

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/action"
	"github.com/weightwarden/weightwarden/internal/atlas"
	"github.com/weightwarden/weightwarden/internal/stableid"
)

const (
	// stixNamespace is that of the ids of observables in STIX 2.1, section 2.9.
	stixNamespace = "00abedb4-aa42-466c-9c01-fed23315a9b7"
	// tlpAmber is the marking TLP:AMBER as STIX 2.1, section 7.2.1.4 defines it.
	tlpAmber = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
)

// WriteSTIX writes the case as a STIX 2.1 bundle: the digests of bad files as
// indicators, the techniques of MITRE ATLAS, what was done, and a report over
// all of it that stands for the incident, marked TLP:AMBER. The incident object
// of STIX is a stub that the published schema of bundles does not admit.
func WriteSTIX(w io.Writer, c Case) error {
	b := &stix{Case: c}
	b.identity()
	b.patterns()
	b.files()
	b.courses()
	b.report()
	bundle := object{"type": "bundle", "id": "bundle--" + c.uid("bundle"), "objects": b.objects}
	return writing("STIX bundle", encode(w, bundle, "  "))
}

type stix struct {
	Case
	objects []object
}

func (b *stix) id(kind, name string) string { return kind + "--" + b.uid(kind, name) }

func (b *stix) producer() string {
	return "identity--" + stableid.New(stableid.Namespace, product).String()
}

// add adds an object with what every object has.
func (b *stix) add(kind, name string, o object) string {
	id := b.id(kind, name)
	if kind == "identity" {
		id = b.producer()
	}
	o["type"], o["spec_version"], o["id"] = kind, "2.1", id
	o["created"], o["modified"] = milliseconds(b.began()), milliseconds(b.when())
	if kind != "identity" {
		o["created_by_ref"] = b.producer()
		o["object_marking_refs"] = []string{tlpAmber}
	}
	b.objects = append(b.objects, o)
	return id
}

func (b *stix) relate(from, kind, to string) {
	b.add("relationship", from+kind+to, object{"relationship_type": kind, "source_ref": from, "target_ref": to})
}

func (b *stix) identity() {
	b.add("identity", product, object{"name": product, "identity_class": "system"})
}

func (b *stix) patterns() {
	for _, id := range b.techniques() {
		t, _ := atlas.Lookup(id)
		b.add("attack-pattern", id, object{
			"name":                phrase(t.Name, id),
			"external_references": []object{{"source_name": "mitre-atlas", "external_id": id, "url": "https://atlas.mitre.org/techniques/" + id}},
		})
	}
}

// files adds each bad file as an observable and as a pattern to look for.
func (b *stix) files() {
	first := b.Metrics.FirstBad
	if first.IsZero() {
		first = b.began()
	}
	for _, f := range b.badFiles() {
		b.observable(f)
		indicator := b.add("indicator", f.sha256+f.name, object{
			"name":         "Tampered model file " + phrase(f.name, "without a name"),
			"description":  "Model " + phrase(f.model, "unknown"),
			"pattern":      "[file:hashes.'SHA-256' = '" + f.sha256 + "']",
			"pattern_type": "stix", "pattern_version": "2.1", "valid_from": milliseconds(first),
			"indicator_types": []string{"malicious-activity"},
		})
		for _, id := range f.atlas {
			if slices.Contains(b.techniques(), id) {
				b.relate(indicator, "indicates", b.id("attack-pattern", id))
			}
		}
	}
}

// observable adds a file. Its id follows the rule of the specification: the
// canonical JSON of what identifies it.
func (b *stix) observable(f badFile) {
	ns, err := stableid.Parse(stixNamespace)
	if err != nil {
		panic(err) // a constant
	}
	hashes := map[string]string{"SHA-256": f.sha256}
	name := phrase(f.name, "unnamed")
	canonical, err := json.Marshal(object{"hashes": hashes, "name": name})
	if err != nil {
		panic(err) // strings always encode
	}
	id := "file--" + stableid.New(ns, string(canonical)).String()
	if !slices.ContainsFunc(b.objects, func(o object) bool { return o["id"] == id }) {
		b.objects = append(b.objects, object{"type": "file", "spec_version": "2.1", "id": id, "name": name, "hashes": hashes})
	}
}

// courses adds what was observed to be done.
func (b *stix) courses() {
	text := map[action.Name]string{
		action.Isolate:  "Take the model out of serving and preserve it",
		action.Rollback: "Put back a version whose signature and files verify",
	}
	done := map[action.Name]bool{}
	for _, p := range b.Plans {
		if !p.Finished() || done[p.Action] {
			continue
		}
		done[p.Action] = true
		course := b.add("course-of-action", string(p.Action), object{"name": phrase(string(p.Action), "unnamed"), "description": phrase(text[p.Action], "not described")})
		for _, id := range b.techniques() {
			b.relate(course, "mitigates", b.id("attack-pattern", id))
		}
	}
}

func (b *stix) report() {
	refs := make([]string, 0, len(b.objects))
	for _, o := range b.objects {
		refs = append(refs, o["id"].(string))
	}
	b.add("report", "", object{
		"name": b.title(), "report_types": []string{"incident"}, "published": milliseconds(b.when()), "object_refs": refs,
		"description":         "Severity " + b.Severity.String() + ", " + string(b.State) + ". Models: " + phrase(strings.Join(b.Models, ", "), "none"),
		"external_references": []object{{"source_name": product, "external_id": phrase(b.IncidentID, "unknown")}},
	})
}
