package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/report"
)

// sampleScan is a scan with one of everything, hostile names included.
func sampleScan(t *testing.T, h report.ScanHandler) {
	t.Helper()
	file := "models/a b\n.pkl"
	steps := []error{
		h.Start(report.ScanStart{Protocol: report.ScanProtocol, Version: "1.2.3", Paths: []string{"models"}, Rules: []report.ScanRule{
			{ID: "WW-PICKLE-001", Title: "pickle uses a dangerous name", Severity: finding.Critical, About: "About.", Do: "Do.", Atlas: []string{"AML.T0011.000"}},
			{ID: "WW-SCAN-002", Title: "no reader", Severity: finding.Medium, About: "About.", Do: "Do."},
		}}),
		h.Finding(finding.Finding{
			Rule: "WW-PICKLE-001", Severity: finding.Critical, Verdict: finding.Malicious, File: file, Offset: 14, Length: 2,
			Summary: `loading imports "os.system"`, Name: "os.system", Node: "GLOBAL", Evidence: `"cos\nsystem\n"`, Atlas: []string{"AML.T0011.000"},
		}),
		h.Finding(finding.Finding{Rule: "WW-PICKLE-001", Severity: finding.High, Verdict: finding.Suspicious, File: file, Member: "m/data.pkl", Offset: 3, Summary: "inside"}),
		h.File(report.ScanFile{Path: file, Format: artifact.Pickle, Verdict: finding.Malicious, SHA256: artifact.SHA256Of(nil), Bytes: 30, Reason: "x", Facts: []string{"needs the library sklearn"}}),
		h.Finding(finding.Finding{Rule: "WW-SCAN-002", Severity: finding.Medium, Verdict: finding.Inconclusive, File: "models/x", Offset: -1, Summary: "no reader"}),
		h.File(report.ScanFile{Path: "models/x", Format: artifact.Unknown, Verdict: finding.Inconclusive, Bytes: 7, Reason: "no reader"}),
		h.File(report.ScanFile{Path: "/models/ok", Format: artifact.Text, Verdict: finding.Clean, Bytes: 1}),
		h.Skip(report.ScanSkip{Path: "models/fifo", Reason: "is a fifo"}),
		h.Summary(report.ScanSummary{Scanned: 3, Skipped: 1, Bytes: 38, Verdict: finding.Malicious}),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
}

func TestSARIFIsValid(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(schemas(t, "sarif-2.1.0"), "sarif-2.1/schema/*.json"))
	if len(files) == 0 {
		t.Fatal("the shared data has no SARIF schema")
	}
	schema, err := jsonschema.NewCompiler().Compile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(report.ScanHandler){
		"full": func(h report.ScanHandler) { sampleScan(t, h) },
		"empty": func(h report.ScanHandler) {
			if err := errors.Join(h.Start(report.ScanStart{Protocol: 1}), h.Summary(report.ScanSummary{Verdict: finding.Clean})); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			run(report.NewScanSARIF(&b))
			document, err := jsonschema.UnmarshalJSON(&b)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(document); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSARIFSaysWhatWasNotUnderstood(t *testing.T) {
	var b bytes.Buffer
	sampleScan(t, report.NewScanSARIF(&b))
	var log struct {
		Runs []struct {
			Invocations []struct {
				ExecutionSuccessful        bool
				ToolExecutionNotifications []any
			}
			Results []struct {
				RuleID, Kind        string
				PartialFingerprints map[string]string
				Locations           []struct {
					PhysicalLocation struct {
						Region *struct{ ByteOffset, ByteLength int }
					}
				}
			}
			Taxonomies []struct{ Taxa []struct{ ID string } }
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if run.Invocations[0].ExecutionSuccessful || len(run.Invocations[0].ToolExecutionNotifications) != 2 {
		t.Errorf("the run says it was complete: %+v", run.Invocations)
	}
	if len(run.Results) != 3 || run.Results[2].Kind != "open" {
		t.Fatalf("results are %+v", run.Results)
	}
	if r := run.Results[0].Locations[0].PhysicalLocation.Region; r == nil || r.ByteOffset != 14 || r.ByteLength != 2 {
		t.Errorf("region is %+v", r)
	}
	if run.Results[1].Locations[0].PhysicalLocation.Region != nil {
		t.Error("the offset in a member is a region of the file")
	}
	if run.Results[0].PartialFingerprints["weightwarden/v1"] == run.Results[1].PartialFingerprints["weightwarden/v1"] {
		t.Error("two findings have one fingerprint")
	}
	if len(run.Taxonomies[0].Taxa) != 1 || run.Taxonomies[0].Taxa[0].ID != "AML.T0011.000" {
		t.Errorf("taxa are %+v", run.Taxonomies)
	}
}

func TestScanEventsSurviveARoundTrip(t *testing.T) {
	var first, second bytes.Buffer
	sampleScan(t, report.NewScanLines(&first))
	if err := report.ReplayScan(bytes.NewReader(first.Bytes()), report.NewScanLines(&second)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first.String(), second.String()); d != "" {
		t.Error(d)
	}
}

func TestReplayRefuses(t *testing.T) {
	var whole bytes.Buffer
	sampleScan(t, report.NewScanLines(&whole))
	lines := strings.SplitAfter(whole.String(), "\n")
	for name, in := range map[string]string{
		"cut_off":          strings.Join(lines[:4], ""),
		"nothing":          "",
		"no_json":          "hello\n",
		"unknown_event":    "{}\n",
		"another_protocol": `{"start":{"protocol":99}}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if err := report.ReplayScan(strings.NewReader(in), report.NewScanLines(io.Discard)); err == nil {
				t.Error("was accepted")
			}
		})
	}
}

func TestScanText(t *testing.T) {
	var b bytes.Buffer
	sampleScan(t, report.NewScanText(&b))
	want := `malicious   critical  WW-PICKLE-001  "models/a b\n.pkl" @ 14
            loading imports "os.system"
            evidence: "cos\nsystem\n"
suspicious  high      WW-PICKLE-001  "models/a b\n.pkl" : m/data.pkl @ 3
            inside
not understood, and so not clean:
  WW-SCAN-002  models/x: no reader
  skipped      models/fifo: is a fifo
note: needs the library sklearn (1 file)
malicious: 3 files scanned, 1 malicious, 0 suspicious, 1 not understood, 1 skipped
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}
