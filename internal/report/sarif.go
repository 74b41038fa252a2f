package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/atlas"
	"github.com/weightwarden/weightwarden/internal/finding"
)

// The parts of SARIF 2.1.0 (OASIS) that a scan fills.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Artifacts   []sarifArtifact   `json:"artifacts"`
		Taxonomies  []sarifComponent  `json:"taxonomies"`
		Results     []sarifResult     `json:"results"`
		ColumnKind  string            `json:"columnKind"`
	}
	sarifTool struct {
		Driver sarifComponent `json:"driver"`
	}
	sarifComponent struct {
		Name           string               `json:"name"`
		Version        string               `json:"version,omitempty"`
		Organization   string               `json:"organization,omitempty"`
		InformationURI string               `json:"informationUri,omitempty"`
		Rules          []sarifDescriptor    `json:"rules,omitempty"`
		Taxa           []sarifDescriptor    `json:"taxa,omitempty"`
		Supported      []sarifComponentLink `json:"supportedTaxonomies,omitempty"`
	}
	sarifComponentLink struct {
		Name string `json:"name"`
	}
	sarifDescriptor struct {
		ID            string              `json:"id"`
		Name          string              `json:"name,omitempty"`
		Short         *sarifText          `json:"shortDescription,omitempty"`
		Full          *sarifText          `json:"fullDescription,omitempty"`
		Help          *sarifText          `json:"help,omitempty"`
		HelpURI       string              `json:"helpUri,omitempty"`
		Default       *sarifConfiguration `json:"defaultConfiguration,omitempty"`
		Relationships []sarifRelation     `json:"relationships,omitempty"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifRelation struct {
		Target sarifTaxon `json:"target"`
		Kinds  []string   `json:"kinds"`
	}
	sarifTaxon struct {
		ID        string              `json:"id"`
		Component *sarifComponentLink `json:"toolComponent,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifArtifact struct {
		Location sarifURI          `json:"location"`
		Length   int64             `json:"length"`
		Hashes   map[string]string `json:"hashes,omitempty"`
	}
	sarifURI struct {
		URI   string `json:"uri"`
		Index *int   `json:"index,omitempty"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    *int              `json:"ruleIndex,omitempty"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Taxa         []sarifTaxon      `json:"taxa,omitempty"`
		Properties   map[string]string `json:"properties,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifURI     `json:"artifactLocation"`
		Region   *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		Offset int64 `json:"byteOffset"`
		Length int64 `json:"byteLength,omitempty"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

const (
	atlasName = "MITRE ATLAS"
	product   = "weightwarden"
	// printID names the one way the fingerprint below is made.
	printID = "weightwarden/v1"
)

// scanSARIF writes one SARIF run at the end of the scan.
type scanSARIF struct {
	*ScanCollector
	w io.Writer
}

// NewScanSARIF returns a handler that writes the scan as SARIF 2.1.0. What was
// not understood is a result of the kind "open" and a notification, so that no
// consumer takes its absence for a pass.
func NewScanSARIF(w io.Writer) ScanHandler { return scanSARIF{NewScanCollector(), w} }

// Summary writes the log.
func (h scanSARIF) Summary(s ScanSummary) error {
	if err := h.ScanCollector.Summary(s); err != nil {
		return err
	}
	enc := json.NewEncoder(h.w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	log := sarifLog{
		Schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{sarifOf(h.Started, &h.Document)},
	}
	if err := enc.Encode(log); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	return nil
}

func sarifOf(start ScanStart, d *ScanDocument) sarifRun {
	run := sarifRun{
		Tool: sarifTool{sarifComponent{
			Name: product, Version: start.Version, Rules: sarifRules(start.Rules), Supported: []sarifComponentLink{{atlasName}},
		}},
		Invocations: []sarifInvocation{sarifInvoked(d)},
		Artifacts:   []sarifArtifact{}, Results: []sarifResult{}, ColumnKind: "unicodeCodePoints",
		Taxonomies: []sarifComponent{sarifAtlas(start.Rules)},
	}
	files := map[string]int{}
	for _, f := range d.Files {
		files[f.Path] = len(run.Artifacts)
		a := sarifArtifact{Location: sarifURI{URI: fileURI(f.Path)}, Length: f.Bytes}
		if !f.SHA256.IsZero() {
			a.Hashes = map[string]string{"sha-256": f.SHA256.Hex()}
		}
		run.Artifacts = append(run.Artifacts, a)
	}
	for _, f := range slices.Concat(d.Findings, d.NotUnderstood) {
		run.Results = append(run.Results, sarifFound(f, start.Rules, files))
	}
	return run
}

func sarifRules(rules []ScanRule) []sarifDescriptor {
	out := make([]sarifDescriptor, 0, len(rules))
	for _, r := range rules {
		d := sarifDescriptor{
			ID: r.ID, Short: &sarifText{r.Title}, Full: &sarifText{r.About}, Help: &sarifText{r.Do},
			Default: &sarifConfiguration{sarifLevel(r.Severity)},
		}
		for _, id := range r.Atlas {
			d.Relationships = append(d.Relationships, sarifRelation{sarifTaxon{ID: id, Component: &sarifComponentLink{atlasName}}, []string{"relevant"}})
		}
		out = append(out, d)
	}
	return out
}

// sarifAtlas lists the techniques that the rules refer to.
func sarifAtlas(rules []ScanRule) sarifComponent {
	c := sarifComponent{Name: atlasName, Version: atlas.Version, Organization: "MITRE", InformationURI: "https://atlas.mitre.org/"}
	var ids []string
	for _, r := range rules {
		ids = append(ids, r.Atlas...)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if t, ok := atlas.Lookup(id); ok {
			c.Taxa = append(c.Taxa, sarifDescriptor{ID: t.ID, Name: t.Name, HelpURI: t.URL()})
		}
	}
	return c
}

// sarifInvoked names everything that was left out.
func sarifInvoked(d *ScanDocument) sarifInvocation {
	i := sarifInvocation{Successful: true}
	note := func(path, text string) {
		i.Successful = false
		i.Notifications = append(i.Notifications, sarifNotification{
			Level: "error", Message: sarifText{text},
			Locations: []sarifLocation{{Physical: sarifPhysical{Artifact: sarifURI{URI: fileURI(path)}}}},
		})
	}
	for _, s := range d.Skips {
		note(s.Path, "skipped: "+s.Reason)
	}
	for _, f := range d.NotUnderstood {
		note(f.File, f.Rule+": "+f.Summary)
	}
	return i
}

func sarifFound(f finding.Finding, rules []ScanRule, files map[string]int) sarifResult {
	r := sarifResult{
		RuleID: f.Rule, Kind: "fail", Level: sarifLevel(f.Severity), Message: sarifText{f.Summary},
		Fingerprints: map[string]string{printID: fingerprint(f)}, Properties: map[string]string{"verdict": f.Verdict.String()},
	}
	if f.Verdict == finding.Inconclusive {
		r.Kind, r.Level = "open", "none"
	}
	if n := slices.IndexFunc(rules, func(r ScanRule) bool { return r.ID == f.Rule }); n >= 0 {
		r.RuleIndex = &n
	}
	place := sarifLocation{Physical: sarifPhysical{Artifact: sarifURI{URI: fileURI(f.File)}}}
	if n, ok := files[f.File]; ok {
		place.Physical.Artifact.Index = &n
	}
	// A member's offset counts from the member's start; it is no region of
	// the file then.
	switch {
	case f.Member != "":
		place.Logical = []sarifLogical{{f.Member, "member"}}
		r.Properties["memberOffset"] = strconv.FormatInt(f.Offset, 10)
	case f.Offset >= 0:
		place.Physical.Region = &sarifRegion{f.Offset, f.Length}
	}
	r.Locations = []sarifLocation{place}
	for _, id := range f.Atlas {
		r.Taxa = append(r.Taxa, sarifTaxon{ID: id, Component: &sarifComponentLink{atlasName}})
	}
	for key, value := range map[string]string{"name": f.Name, "node": f.Node, "evidence": f.Evidence} {
		if value != "" {
			r.Properties[key] = value
		}
	}
	return r
}

func sarifLevel(s finding.Severity) string {
	switch s {
	case finding.Critical, finding.High:
		return "error"
	case finding.Medium:
		return "warning"
	default:
		return "note"
	}
}

// fingerprint stays the same while the same thing is found at the same place,
// whatever else the scan finds.
func fingerprint(f finding.Finding) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Rule, f.File, f.Member, strconv.FormatInt(f.Offset, 10), f.Name, f.Node}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

func fileURI(path string) string {
	u := url.URL{Path: path}
	if strings.HasPrefix(path, "/") {
		u.Scheme = "file"
	}
	return u.String()
}
