package deploy_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/weightwarden/weightwarden/internal/deploy"
	"github.com/weightwarden/weightwarden/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got), -update accepts it:\n%s", name, d)
	}
}

// conf has what a block of YAML could be broken by.
const conf = "  # a comment first\nmodels:\n  - {id: a, path: /models/a}\n\n# --- {{ \"x\" }} | > \ttab\r\nalert_webhook: ''\n"

func workload(change func(*deploy.Workload)) deploy.Workload {
	w := deploy.Workload{
		Form: deploy.DaemonSet, Namespace: "ww", Image: "r.example.com/ww@sha256:00", Config: []byte(conf), Port: 9464,
		Models: []string{"/models/a", "/models/b", "/srv/x/c", "/models/deep/d"},
	}
	change(&w)
	return w
}

func documents(t *testing.T, text []byte) (docs []map[string]any) {
	t.Helper()
	dec, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var doc map[string]any
		err := dec.Load(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		docs = append(docs, doc)
	}
}

// at walks into a document: keys of mappings, numbers of lists.
func at(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

func TestForms(t *testing.T) {
	for name, change := range map[string]func(*deploy.Workload){
		"daemonset":      func(*deploy.Workload) {},
		"daemonset_root": func(w *deploy.Workload) { w.Root, w.Who, w.Port = true, true, 0 },
		"sidecar":        func(w *deploy.Workload) { w.Form, w.Volume = deploy.Sidecar, "models" },
		"sidecar_claim":  func(w *deploy.Workload) { w.Form, w.Volume, w.Claim = deploy.Sidecar, "models", "state" },
		"init":           func(w *deploy.Workload) { w.Form, w.Volume = deploy.Init, "models" },
		"sidecar_into": func(w *deploy.Workload) {
			w.Form, w.Volume, w.Target = deploy.Sidecar, "models", deploy.Target{Kind: "Deployment", Name: "fraud"}
		},
		"init_into": func(w *deploy.Workload) {
			w.Form, w.Volume, w.Target = deploy.Init, "models", deploy.Target{Kind: "StatefulSet", Name: "fraud"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := workload(change)
			text, err := deploy.Kubernetes(w)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".yaml", text)
			docs := documents(t, text)
			pod := at(docs[len(docs)-1], "spec", "template")
			container := at(pod, "spec", "containers", 0)
			if w.Form == deploy.Init {
				container = at(pod, "spec", "initContainers", 0)
			}
			if at(pod, "metadata", "annotations", "weightwarden.io/config-sha256") != w.Checksum() {
				t.Error("a change of the configuration is not rolled out")
			}
			security := at(container, "securityContext")
			if at(security, "readOnlyRootFilesystem") != true || at(security, "allowPrivilegeEscalation") != false || at(security, "capabilities", "drop", 0) != "ALL" {
				t.Errorf("security context %v", security)
			}
			if at(container, "resources", "limits", "memory") != "256Mi" {
				t.Errorf("resources %v", at(container, "resources"))
			}
			mounts, _ := at(container, "volumeMounts").([]any)
			trees := 0
			for _, m := range mounts {
				if path, _ := at(m, "mountPath").(string); strings.HasPrefix(path, "/models") || strings.HasPrefix(path, "/srv") {
					trees++
					if at(m, "readOnly") != true {
						t.Errorf("%s is mounted for writing", path)
					}
				}
			}
			if trees != 2 {
				t.Errorf("%d trees of models are mounted: %v", trees, mounts)
			}
		})
	}
}

// The configuration arrives in the ConfigMap as it is, but for the ends of its
// lines.
func TestConfigArrives(t *testing.T) {
	text, err := deploy.Kubernetes(workload(func(*deploy.Workload) {}))
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range documents(t, text) {
		if doc["kind"] == "ConfigMap" {
			if got := at(doc, "data", "config.yaml"); got != strings.ReplaceAll(conf, "\r", "") {
				t.Errorf("got %q", got)
			}
			return
		}
	}
	t.Error("no ConfigMap")
}

func TestUnit(t *testing.T) {
	for name, u := range map[string]deploy.Unit{
		"root.service": {Program: "/usr/local/bin/weightwarden", Config: "/etc/weightwarden/config.yaml"},
		"user.service": {Program: "/usr/local/bin/weightwarden", Config: "/etc/weightwarden/config.yaml", User: "weightwarden"},
	} {
		text, err := deploy.Systemd(u)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, text)
		if !deploy.OwnUnit(text) || deploy.OwnUnit(append(text, "Nice=0\n"...)) || deploy.OwnUnit(text[1:]) || deploy.OwnUnit(nil) {
			t.Errorf("%s: what we wrote is not told apart from what was edited", name)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, try := range map[string]func() ([]byte, error){
		"form": func() ([]byte, error) {
			return deploy.Kubernetes(workload(func(w *deploy.Workload) { w.Form = "job" }))
		},
		"who": func() ([]byte, error) { return deploy.Kubernetes(workload(func(w *deploy.Workload) { w.Who = true })) },
		"volume": func() ([]byte, error) {
			return deploy.Kubernetes(workload(func(w *deploy.Workload) { w.Form = deploy.Init }))
		},
		"target_without_namespace": func() ([]byte, error) {
			return deploy.Kubernetes(workload(func(w *deploy.Workload) {
				w.Form, w.Volume, w.Namespace, w.Target = deploy.Init, "m", "", deploy.Target{Kind: "Deployment", Name: "x"}
			}))
		},
		"daemonset_into_a_workload": func() ([]byte, error) {
			return deploy.Kubernetes(workload(func(w *deploy.Workload) { w.Target = deploy.Target{Kind: "Deployment", Name: "x"} }))
		},
		"target_kind":    func() ([]byte, error) { _, err := deploy.ParseTarget("job/x"); return nil, err },
		"target_alone":   func() ([]byte, error) { _, err := deploy.ParseTarget("fraud"); return nil, err },
		"target_hostile": func() ([]byte, error) { _, err := deploy.ParseTarget("deployment/x\nkind: Pod"); return nil, err },
		"relative_path":  func() ([]byte, error) { return deploy.Systemd(deploy.Unit{Program: "weightwarden", Config: "/c"}) },
		"line_in_a_path": func() ([]byte, error) { return deploy.Systemd(deploy.Unit{Program: "/w", Config: "/c\nUser=root"}) },
		"specifier":      func() ([]byte, error) { return deploy.Systemd(deploy.Unit{Program: "/w", Config: "/c%h"}) },
	} {
		if text, err := try(); fault.KindOf(err) != fault.Invalid || text != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A verdict of an agent that knows its pod's UID is about that pod alone: right
// for a sidecar, and of no use for the servers that the agent of a node is about.
func TestWhatThePodTellsOfItself(t *testing.T) {
	for form, want := range map[deploy.Form][]string{
		deploy.DaemonSet: {"NODE_NAME", "POD_NAMESPACE", "POD_NAME", "WEIGHTWARDEN_POD_UID", "GOMEMLIMIT"},
		deploy.Sidecar:   {"NODE_NAME", "POD_NAMESPACE", "POD_NAME", "POD_UID", "GOMEMLIMIT"},
	} {
		text, err := deploy.Kubernetes(workload(func(w *deploy.Workload) { w.Form, w.Volume = form, "models" }))
		if err != nil {
			t.Fatal(err)
		}
		docs := documents(t, text)
		list, _ := at(docs[len(docs)-1], "spec", "template", "spec", "containers", 0, "env").([]any)
		var names []string
		for _, e := range list {
			names = append(names, at(e, "name").(string))
		}
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("%s (-want +got):\n%s", form, d)
		}
	}
}

// Objects are what a parser of YAML makes of the manifests, with whole numbers.
func TestObjects(t *testing.T) {
	w := workload(func(w *deploy.Workload) {
		w.Form, w.Volume, w.Target = deploy.Sidecar, "models", deploy.Target{Kind: "Deployment", Name: "fraud"}
	})
	text, err := deploy.Kubernetes(w)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := deploy.Objects(text)
	if err != nil || len(objects) != 2 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	if o := objects[0]; o.ObjectName() != "weightwarden-fraud" || o.Namespace() != "ww" || o.Texts("/data")["config.yaml"] != strings.ReplaceAll(conf, "\r", "") {
		t.Errorf("the ConfigMap is %v", o)
	}
	port, _ := objects[1].At("/spec/template/spec/containers/0/ports/0/containerPort")
	if port != int64(9464) {
		t.Errorf("port %T %v", port, port)
	}
	if _, err := deploy.Objects([]byte("a: [")); err == nil {
		t.Error("what is no YAML is read")
	}
}
