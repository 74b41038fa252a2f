package rollout

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/cluster"
)

// shownReasons is how many reasons are given.
const shownReasons = 8

// reasons says why the new pods of a workload are not available, the same
// reason once. What may not be read gives no reason.
func reasons(ctx context.Context, api API, o cluster.Object, checksum string) []string {
	count := map[string]int{}
	pods, _ := api.List(ctx, cluster.Pods, o.Namespace(), cluster.Equality(o.Texts("/spec/selector/matchLabels")))
	for _, pod := range pods {
		if pod.Annotations()[NoteConfig] != checksum || pod.Ending() {
			continue
		}
		if why := waits(pod); why != "" {
			count[why]++
		}
	}
	for _, c := range o.Items("/status/conditions") {
		if c.Text("/type") == "ReplicaFailure" && c.Text("/status") == "True" {
			count["pods cannot be made: "+words(c.Text("/message"))]++
		}
	}
	if len(count) == 0 {
		for _, why := range refused(ctx, api, o) {
			count[why] = 1
		}
	}
	var out []string
	for _, why := range slices.Sorted(maps.Keys(count)) {
		if count[why] > 1 {
			why = fmt.Sprintf("%s (%d pods)", why, count[why])
		}
		out = append(out, why)
	}
	return out[:min(len(out), shownReasons)]
}

// waits says why a pod is not ready, or "".
func waits(pod cluster.Object) string {
	for _, list := range []string{"/status/initContainerStatuses", "/status/containerStatuses"} {
		for _, c := range pod.Items(list) {
			if why := container(c); why != "" {
				return "container " + artifact.Quote(c.Text("/name")) + why
			}
		}
	}
	for _, c := range pod.Items("/status/conditions") {
		switch status := c.Text("/status"); {
		case status == "True":
		case c.Text("/type") == "PodScheduled":
			return "no node takes the pod: " + words(c.Text("/message"))
		case c.Text("/type") == "Ready":
			return "runs, and is not ready: " + words(c.Text("/message"))
		}
	}
	return ""
}

func container(c cluster.Object) string {
	last := ""
	if code, ok := c.At("/lastState/terminated/exitCode"); ok {
		last = fmt.Sprintf(", ended with exit code %v (%s)", code, words(c.Text("/lastState/terminated/reason")))
	}
	waiting, ended := c.Text("/state/waiting/reason"), c.Number("/state/terminated/exitCode")
	switch {
	case waiting == "PodInitializing" || waiting == "ContainerCreating":
		return ""
	case waiting != "":
		return ": " + words(strings.TrimSuffix(waiting+": "+c.Text("/state/waiting/message"), ": ")) + last
	case ended != 0:
		return fmt.Sprintf(": ended with exit code %d", ended)
	}
	return ""
}

// refused returns what the API says of pods that could not be made at all.
func refused(ctx context.Context, api API, o cluster.Object) (out []string) {
	events, _ := api.List(ctx, cluster.Events, o.Namespace(), "")
	for _, e := range events {
		if e.Text("/involvedObject/uid") == o.UID() && e.Text("/type") == "Warning" && strings.HasPrefix(e.Text("/reason"), "Failed") {
			if why := "pods cannot be made: " + words(e.Text("/message")); !slices.Contains(out, why) {
				out = append(out, why)
			}
		}
	}
	return out
}

// words are somebody else's, on one line and not too many.
func words(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.Trim(artifact.Quote(text), `"`)
}

// remedies say what to do about what stands in a reason.
var remedies = []struct {
	in *regexp.Regexp
	do string
}{
	{regexp.MustCompile(`ImagePull|InvalidImageName|ErrImageNeverPull`), "check --image, and that the nodes may pull it"},
	{regexp.MustCompile(`CreateContainerConfigError`), "make what the pod refers to"},
	{regexp.MustCompile(`PodSecurity`), "the namespace admits no such pods: see Pod Security in docs/deploy.md"},
	{regexp.MustCompile(`OOMKilled`), "it needs more memory than its limit"},
	{regexp.MustCompile(`exit code [13]\b`), "models do not verify: read the log of the container weightwarden before anything else"},
	{regexp.MustCompile(`exit code 2\b`), "the configuration does not hold inside the pod: read the log of the container weightwarden"},
	{regexp.MustCompile(`exit code 4\b`), "models could not be read: read the log of the container weightwarden"},
	{regexp.MustCompile(`CrashLoopBackOff`), "read the log of the container weightwarden"},
	{regexp.MustCompile(`no node takes`), "make room on the nodes, or see their taints and the pod's volumes"},
	{regexp.MustCompile(`not ready`), "/readyz answers when the first check is done: read the log of the container weightwarden"},
}

// remedy is the next step for what was seen.
func remedy(s Status) string {
	for _, r := range remedies {
		if slices.ContainsFunc(s.Reasons, r.in.MatchString) {
			return r.do
		}
	}
	return fmt.Sprintf("see kubectl -n %s describe %s/%s and its pods", s.Namespace, s.lower(), s.Name)
}
