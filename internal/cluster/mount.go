package cluster

import (
	"path"
	"strconv"
	"strings"

	"github.com/weightwarden/weightwarden/internal/verdict"
)

// NoteVerdict, NoteSignature and NoteStanding are where statements of agents
// stand: in the properties of a report, and in the annotations of a lease.
const (
	NoteVerdict   = "verdict"
	NoteSignature = "signature"
	NoteStanding  = "weightwarden.dev/standing"
	NoteSigned    = "weightwarden.dev/signature"
	// Managed is the label of what agents make, and its value.
	Managed    = "app.kubernetes.io/managed-by"
	ManagedBy  = "weightwarden"
	RuleOnSeen = "model_verdict"
)

// Mount is what a pod has at a path.
type Mount struct {
	Place verdict.Place
	// Volume is where the volume stands in the pod's specification, as a JSON
	// pointer below it.
	Volume string
	// Image says that it is a mounted image, which has a digest of its own.
	Image bool
}

// MountAt returns what the containers of a pod, or of a template, that will be
// in a namespace have at a path. Without one it says why: none of them has
// anything there, or they have different things, or it cannot be known.
func MountAt(namespace string, pod Object, at string) (m Mount, why string) {
	found := false
	for _, c := range Spec(pod).Items("/containers") {
		one, ok, why := mountIn(namespace, pod, c, at)
		switch {
		case why != "":
			return Mount{}, why
		case !ok:
		case found && one != m:
			return Mount{}, "its containers have different things there"
		default:
			m, found = one, true
		}
	}
	if !found {
		return Mount{}, "no container has a volume there"
	}
	return m, ""
}

// Has reports whether a container of a pod has mounted a place of the cluster,
// or a part of it, or what it is a part of.
func Has(pod Object, place verdict.Place) bool {
	for _, list := range []string{"/containers", "/initContainers"} {
		for _, c := range Spec(pod).Items(list) {
			for _, v := range c.Items("/volumeMounts") {
				m, ok, why := mountIn(pod.Namespace(), pod, Object{"volumeMounts": []any{map[string]any(v)}}, path.Clean(v.Text("/mountPath")))
				if why == "" && ok && overlap(m.Place, place) {
					return true
				}
			}
		}
	}
	return false
}

// overlap reports whether one place is in the other.
func overlap(a, b verdict.Place) bool {
	if a.Host != "" && b.Host != "" {
		return below(a.Host, b.Host) || below(b.Host, a.Host)
	}
	x, y := "/"+a.Inside, "/"+b.Inside
	return a.Claim == b.Claim && a.Claim != "" && (below(x, y) || below(y, x))
}

func mountIn(namespace string, pod, container Object, at string) (m Mount, ok bool, why string) {
	var best Object
	for _, v := range container.Items("/volumeMounts") {
		where := path.Clean(v.Text("/mountPath"))
		if below(at, where) && (best == nil || len(where) > len(path.Clean(best.Text("/mountPath")))) {
			best = v
		}
	}
	if best == nil {
		return m, false, ""
	}
	if best.Text("/subPathExpr") != "" {
		return m, false, "what its container has there follows from an expression"
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(at, path.Clean(best.Text("/mountPath"))), "/")
	inside := path.Join(best.Text("/subPath"), rest)
	for n, v := range Spec(pod).Items("/volumes") {
		if v.Text("/name") != best.Text("/name") {
			continue
		}
		m = Mount{Volume: Pointer("volumes", strconv.Itoa(n))}
		_, m.Image = v.At("/image")
		m.Place = placeOf(namespace, pod, v)
		m.Place.Inside = inside
		m.Place = m.Place.Whole()
		return m, true, ""
	}
	// A stateful set's own claims are not among the volumes of its template.
	return m, false, "the volume " + best.Text("/name") + " is not in it"
}

func placeOf(namespace string, pod, volume Object) verdict.Place {
	claim, host := volume.Text("/persistentVolumeClaim/claimName"), volume.Text("/hostPath/path")
	_, ephemeral := volume.At("/ephemeral")
	switch {
	case claim != "":
		return verdict.Place{Claim: namespace + "/" + claim}
	case ephemeral:
		return verdict.Place{Claim: namespace + "/" + pod.ObjectName() + "-" + volume.Text("/name")}
	case host != "":
		return verdict.Place{Host: path.Clean(host)}
	}
	return verdict.Place{Volume: volume.Text("/name")}
}

// below reports whether a path is a directory or below it. Both are clean.
func below(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
