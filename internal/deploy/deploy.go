// Package deploy writes what runs the watcher on a host or in a cluster: a
// systemd unit, Kubernetes manifests, also as objects. It applies nothing.
package deploy

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/fault"
)

// Unit is what a systemd unit has to be told.
type Unit struct {
	// Program and Config are absolute paths.
	Program, Config string
	// User runs it; empty is root, which alone sees all files and who
	// changes them.
	User string
	// Listen says that it serves metrics.
	Listen bool
}

// Form is how the watcher runs in a cluster.
type Form string

// The forms.
const (
	DaemonSet Form = "daemonset"
	Sidecar   Form = "sidecar"
	Init      Form = "init"
)

// Workload is what Kubernetes manifests have to be told.
type Workload struct {
	Form      Form
	Namespace string
	Image     string
	// Config is the configuration file's content, Models the paths it names.
	Config []byte
	Models []string
	// Root runs it as root, with the right to read every file and no other.
	Root bool
	// Who adds what fanotify needs to tell who changes a file; only with Root.
	Who bool
	// Announces says that it tells in the cluster what it sees, for which it
	// needs the token of its service account.
	Announces bool
	// Port is where it serves metrics and probes, or 0.
	Port int
	// Claim is a volume claim for the state of a sidecar; without one its
	// baselines end with the pod.
	Claim string
	// Volume is the pod's volume that holds the models, for sidecar and init.
	Volume string
	// Target is the workload that a sidecar or init container is put into.
	// Without one only the patch of some workload is written.
	Target Target
}

// Target is a workload of the namespace.
type Target struct{ Kind, Name string }

// targets are the kinds of workloads, by the names that people use.
var targets = map[string]string{
	"deployment": "Deployment", "deploy": "Deployment", "statefulset": "StatefulSet", "sts": "StatefulSet", "daemonset": "DaemonSet", "ds": "DaemonSet",
}

// ParseTarget reads KIND/NAME; nothing is no target.
func ParseTarget(text string) (Target, error) {
	if text == "" {
		return Target{}, nil
	}
	kind, name, _ := strings.Cut(text, "/")
	t := Target{Kind: targets[strings.ToLower(kind)], Name: name}
	if t.Kind == "" || !objectName(name) {
		return Target{}, fault.New(fault.Invalid, "%s is no workload", artifact.Quote(text)).
			WithHint("write deployment/NAME, statefulset/NAME or daemonset/NAME")
	}
	return t, nil
}

// maxName leaves room before the name of a workload for what is made from it.
const maxName = 253 - len(configName) - 1

// objectName reports whether Kubernetes takes the name for an object.
func objectName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

const configName = "weightwarden"

// ConfigMap is the name of the one that holds the configuration: one for the
// whole namespace, or one for each workload that a container is put into.
func (w Workload) ConfigMap() string {
	if w.Target.Name == "" {
		return configName
	}
	return configName + "-" + w.Target.Name
}

//go:embed templates/*
var files embed.FS

// Systemd writes a hardened unit.
func Systemd(u Unit) ([]byte, error) {
	for _, p := range []string{u.Program, u.Config} {
		if !path.IsAbs(p) || strings.ContainsAny(p, " \t\"'\\%$\n") {
			return nil, fault.New(fault.Invalid, "a unit cannot name the path %s", artifact.Quote(p)).
				WithHint("use an absolute path without spaces, quotes and dollar signs")
		}
	}
	text, err := render("weightwarden.service", u)
	if err != nil {
		return nil, err
	}
	return append([]byte(unitMark+sumOf(text)+"\n"), text...), nil
}

// unitMark begins a unit of ours; the digest of all that follows stands after it.
const unitMark = "# Written by weightwarden deploy systemd, sha256 of what follows: "

// OwnUnit reports whether a unit was written by us and not edited since.
func OwnUnit(text []byte) bool {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	return string(first) == unitMark+sumOf(rest)
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Kubernetes writes manifests: for a DaemonSet all of it, for the other forms
// a ConfigMap and the patch of a workload's pod template.
func Kubernetes(w Workload) ([]byte, error) {
	if w.Who && !w.Root {
		return nil, fault.New(fault.Invalid, "to tell who changes a file needs to run as root").WithHint("add --root")
	}
	switch w.Form {
	case DaemonSet:
		if w.Target.Name != "" {
			return nil, fault.New(fault.Invalid, "a DaemonSet of its own is not put into %s", w.Target.Name).WithHint("add --form sidecar or --form init, or leave --workload out")
		}
		return render("daemonset.yaml", w)
	case Sidecar, Init:
		if w.Target.Name != "" && !objectName(w.Namespace) {
			return nil, fault.New(fault.Invalid, "the %s form needs the namespace of %s", w.Form, w.Target.Name).WithHint("add --namespace NAME")
		}
		if w.Volume == "" {
			return nil, fault.New(fault.Invalid, "the %s form needs the pod's volume that holds the models", w.Form).WithHint("add --volume NAME")
		}
		return render(string(w.Form)+".yaml", w)
	default:
		return nil, fault.New(fault.Invalid, "no form %.40q: use daemonset, sidecar or init", string(w.Form))
	}
}

// Checksum is over the configuration: a pod template that holds it is rolled
// out again when the configuration changes.
func (w Workload) Checksum() string { return sumOf(w.Config) }

// Trees are the directories that have to be mounted: those of the models, and
// none below another.
func (w Workload) Trees() []string {
	dirs := []string{}
	for _, m := range w.Models {
		dirs = append(dirs, path.Dir(path.Clean(m)))
	}
	slices.Sort(dirs)
	var out []string
	for _, d := range slices.Compact(dirs) {
		if len(out) > 0 && strings.HasPrefix(d, strings.TrimSuffix(out[len(out)-1], "/")+"/") {
			continue
		}
		out = append(out, d)
	}
	return out
}

func render(name string, data any) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"quote": quote, "indented": indented}).ParseFS(files, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, data)
	return out.Bytes(), err
}

// quote writes a text as YAML reads it: JSON is a part of YAML.
func quote(s string) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return strings.TrimSpace(buf.String()), err
}

// indented writes a text as a block of YAML that is indented by four.
func indented(data []byte) string {
	var b strings.Builder
	b.WriteString("|2\n")
	for line := range strings.SplitSeq(strings.TrimRight(string(data), "\n"), "\n") {
		if line = strings.TrimSuffix(line, "\r"); line != "" {
			line = "    " + line
		}
		b.WriteString(line + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}
