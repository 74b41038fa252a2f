package cluster

import (
	"encoding/json"
	"strings"
)

// FormerLabels returns the labels that a detached pod had, or those it has.
func FormerLabels(pod Object) map[string]string {
	var labels map[string]string
	if note := pod.Annotations()[NoteLabels]; note != "" && json.Unmarshal([]byte(note), &labels) == nil {
		return labels
	}
	return pod.Labels()
}

// Running reports whether a pod's processes run, as far as its status says.
func Running(pod Object) bool { return pod.Text("/status/phase") == "Running" && !pod.Ending() }

// Ended reports whether a pod runs nothing any more.
func Ended(pod Object) bool { return ended(pod) }

// Digest returns the digest in an image reference, or "".
func Digest(reference string) string {
	if _, digest, ok := strings.Cut(reference, "@sha256:"); ok {
		return "sha256:" + digest
	}
	return ""
}

// Endpoints counts the addresses behind a service by its EndpointSlices, and
// names the UIDs of the pods they lead to.
func Endpoints(slices []Object) (n int, pods map[string]bool) {
	pods = map[string]bool{}
	for _, s := range slices {
		for _, e := range s.Items("/endpoints") {
			n++
			if uid := e.Text("/targetRef/uid"); uid != "" {
				pods[uid] = true
			}
		}
	}
	return n, pods
}
