package report

import (
	"io"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/incident"
)

// WriteCycloneDX writes the affected models as a CycloneDX 1.6 bill of
// materials: each model as a component with its bad files, and the incident as
// what affects them. What the models were trained on is not known here.
func WriteCycloneDX(w io.Writer, c Case) error {
	components, refs := []object{}, []object{}
	for _, s := range c.Subjects {
		component := c.modelComponent(s)
		components = append(components, component)
		refs = append(refs, object{"ref": component["bom-ref"]})
	}
	bom := object{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "serialNumber": "urn:uuid:" + c.uid("cyclonedx"),
		"metadata": object{
			"timestamp": milliseconds(c.when()), "lifecycles": []object{{"phase": "operations"}},
			"tools": object{"components": []object{{"type": "application", "name": product}}},
		},
		"components": components,
		"vulnerabilities": []object{{
			"bom-ref": "incident", "id": phrase(c.IncidentID, "unknown"), "source": object{"name": product}, "description": c.title(),
			"ratings":  []object{{"severity": cyclonedxSeverity(c.Severity), "method": "other"}},
			"analysis": object{"state": cyclonedxState(c.State), "detail": string(c.State)},
			"affects":  refs, "created": milliseconds(c.began()), "updated": milliseconds(c.when()),
		}},
	}
	return writing("CycloneDX BOM", encode(w, bom, "  "))
}

func (c Case) modelComponent(s Subject) object {
	m := object{
		"type": "machine-learning-model", "bom-ref": "model-" + c.uid("model", s.Model), "name": phrase(s.Model, "unnamed model"),
		"modelCard": object{"modelParameters": object{}},
	}
	properties := []object{{"name": "weightwarden:incident_id", "value": phrase(c.IncidentID, "unknown")}}
	if !s.Root.IsZero() {
		properties = append(properties, object{"name": "weightwarden:root_digest", "value": s.Root.String()})
	}
	m["properties"] = properties
	files := []object{}
	for _, f := range c.badFiles() {
		if f.model == s.Model {
			files = append(files, object{
				"type": "file", "bom-ref": "file-" + c.uid("file", f.model, f.name, f.sha256), "name": phrase(f.name, "unnamed"),
				"hashes": []object{{"alg": "SHA-256", "content": f.sha256}},
			})
		}
	}
	if len(files) > 0 {
		m["components"] = files
	}
	return m
}

func cyclonedxSeverity(s finding.Severity) string {
	switch s {
	case finding.Critical, finding.High, finding.Medium, finding.Low:
		return s.String()
	default:
		return "unknown"
	}
}

func cyclonedxState(s incident.State) string {
	switch s {
	case incident.Recovered, incident.Done:
		return "resolved"
	case incident.Open, incident.Contained:
		return "exploitable"
	default:
		return "in_triage"
	}
}
