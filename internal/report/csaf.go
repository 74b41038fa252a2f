package report

import (
	"cmp"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/stableid"
)

// WriteCSAF writes the case as a CSAF 2.0 document of the category
// csaf_security_incident_response. Who publishes it is not known here: the
// publisher is the user of the program, to be filled in before it is shared.
func WriteCSAF(w io.Writer, c Case) error {
	status := "interim"
	if c.State == incident.Done {
		status = "final"
	}
	tracking := object{
		"id": phrase(c.IncidentID, "unknown"), "status": status, "version": "1",
		"initial_release_date": milliseconds(c.began()), "current_release_date": milliseconds(c.when()),
		"revision_history": []object{{"number": "1", "date": milliseconds(c.when()), "summary": "State of the record at its newest entry"}},
		"generator":        object{"engine": object{"name": product}},
	}
	document := object{
		"category": "csaf_security_incident_response", "csaf_version": "2.0", "lang": "en", "title": c.title(),
		"publisher":          object{"category": "user", "name": "Operator of the models", "namespace": "urn:uuid:" + stableid.Namespace.String()},
		"tracking":           tracking,
		"aggregate_severity": object{"text": c.Severity.String()},
		"distribution":       object{"tlp": object{"label": "AMBER"}},
		"notes":              c.csafNotes(),
		"references":         c.csafReferences(),
	}
	out := object{"document": document}
	if products := c.csafProducts(); len(products) > 0 {
		out["product_tree"] = object{"full_product_names": products}
	}
	return writing("CSAF document", encode(w, out, "  "))
}

func (c Case) csafNotes() []object {
	notes := []object{{"category": "summary", "title": "What happened", "text": c.title()}}
	add := func(category, title, text string) {
		if text != "" {
			notes = append(notes, object{"category": category, "title": title, "text": text})
		}
	}
	add("details", "State", "Severity "+c.Severity.String()+", "+string(c.State))
	add("details", "Time of exposure", exposure(c))
	findings := make([]string, 0, len(c.Findings))
	for _, f := range c.Findings {
		findings = append(findings, f.Severity.String()+": "+phrase(f.Type, "unnamed")+": "+phrase(f.Description, "not described"))
	}
	add("details", "Findings", strings.Join(findings, "\n"))
	recommended := make([]string, 0, len(c.Recommendations))
	for _, r := range c.Recommendations {
		recommended = append(recommended, r.Text)
	}
	add("general", "Recommendations", strings.Join(recommended, "\n"))
	return notes
}

func exposure(c Case) string {
	if c.Metrics.FirstBad.IsZero() {
		return ""
	}
	return "since " + stamp(c.Metrics.FirstBad) + by(phrase(c.Metrics.Source, ""))
}

func (c Case) csafReferences() []object {
	references := []object{}
	for _, id := range c.techniques() {
		references = append(references, object{"category": "external", "summary": "MITRE ATLAS " + id + ": " + techniqueName(id), "url": "https://atlas.mitre.org/techniques/" + id})
	}
	if len(references) == 0 {
		references = append(references, object{"category": "external", "summary": "MITRE ATLAS", "url": "https://atlas.mitre.org/"})
	}
	return references
}

// csafProducts names the models, and with them the digests of bad files.
func (c Case) csafProducts() (products []object) {
	for _, s := range c.Subjects {
		p := object{"name": phrase(s.Model, "unnamed model"), "product_id": "MODEL-" + c.uid("model", s.Model)}
		var hashes []object
		for _, f := range c.badFiles() {
			if f.model == s.Model {
				hashes = append(hashes, object{
					"filename":    cmp.Or(phrase(f.name, ""), "unnamed"),
					"file_hashes": []object{{"algorithm": "sha256", "value": f.sha256}},
				})
			}
		}
		if hashes != nil {
			p["product_identification_helper"] = object{"hashes": hashes}
		}
		products = append(products, p)
	}
	return products
}
