package announce

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/weightwarden/weightwarden/internal/cluster"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/verdict"
)

// Bounds of what is written: an object of the API may have about a megabyte,
// and everybody's are in one store.
const (
	maxReport  = 256 << 10
	maxMessage = 512
)

// source is who reports, for readers of reports.
const source = "weightwarden"

// report writes the report on one model: the signed verdict, and why, one
// result for each type of indicator.
func (a *Announcer) report(ctx context.Context, namespace string, v verdict.Verdict, sealed verdict.Sealed, s verdict.Sight) error {
	results := []any{a.result(v, cluster.RuleOnSeen, resultOf(v.State), "", describe(v), map[string]any{
		cluster.NoteVerdict: sealed.Text, cluster.NoteSignature: sealed.Signature, "key": a.key.Public().String(), "node": v.Node,
		"state": string(v.State), "root_digest": v.Root, "baseline_digest": v.Baseline, "looked_at": v.At.Format(time.RFC3339),
	})}
	for _, sign := range s.Signs {
		outcome := "fail"
		if sign.Unseen {
			outcome = "error"
		}
		results = append(results, a.result(v, sign.Type, outcome, sign.Severity.String(), sign.Text, map[string]any{"count": strconv.Itoa(sign.Count)}))
	}
	fields := map[string]any{"/source": source, "/results": results, "/summary": summary(results)}
	fresh := cluster.Object{"source": source, "results": results, "summary": summary(results)}
	if data, err := json.Marshal(fresh); err != nil || len(data) > maxReport {
		return fault.New(fault.Invalid, "report on %s: %d bytes, more than %d (%v)", v.Model, len(data), maxReport, err)
	}
	ref := cluster.Reports.In(namespace, a.name("", v.Model))
	return a.put(ctx, ref, fresh, fields, func(o cluster.Object) bool {
		for _, r := range o.Items("/results") {
			if r.Text("/rule") == cluster.RuleOnSeen {
				return r.Text("/properties/"+cluster.NoteVerdict) == sealed.Text && r.Text("/properties/"+cluster.NoteSignature) == sealed.Signature &&
					r.Text("/result") == resultOf(v.State)
			}
		}
		return false
	})
}

func (a *Announcer) result(v verdict.Verdict, rule, outcome, severity, message string, properties map[string]any) map[string]any {
	out := map[string]any{
		"source": source, "policy": v.Model, "rule": rule, "category": "model integrity", "result": outcome, "scored": true,
		"message": cut(message), "properties": properties, "timestamp": map[string]any{"seconds": v.At.Unix(), "nanos": int64(v.At.Nanosecond())},
	}
	if severity != "" {
		out["severity"] = severity
	}
	return out
}

// resultOf says what a state is for readers of reports. What could not be
// looked at is an error, and what nobody vouches for does not pass.
func resultOf(s verdict.State) string {
	switch s {
	case verdict.Trusted:
		return "pass"
	case verdict.Unverified:
		return "warn"
	case verdict.Tampered, verdict.Untrusted:
		return "fail"
	case verdict.Unreadable:
	}
	return "error"
}

func describe(v verdict.Verdict) string {
	switch v.State {
	case verdict.Trusted:
		return "the model is the one of its baseline"
	case verdict.Unverified:
		return "the model is the one of its baseline, which nobody vouches for"
	case verdict.Tampered:
		return "the model is not the one of its baseline, or it is denied"
	case verdict.Untrusted:
		return "the model's signature is missing, or not of anybody who is trusted"
	case verdict.Unreadable:
	}
	return "the model, or a part of it, could not be looked at"
}

func summary(results []any) map[string]any {
	out := map[string]any{"pass": int64(0), "fail": int64(0), "warn": int64(0), "error": int64(0), "skip": int64(0)}
	for _, r := range results {
		key, _ := r.(map[string]any)["result"].(string)
		n, _ := out[key].(int64)
		out[key] = n + 1
	}
	return out
}

func cut(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	text = text[:maxMessage]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + "…"
}

// maxNodes is how many nodes the status of one model lists.
const maxNodes = 2000

// protected writes this node's part of the model's status, and what all of
// them come to. Others write to it as well, and nobody relies on it: the
// verdicts are in the reports.
func (a *Announcer) protected(ctx context.Context, namespace string, v verdict.Verdict) error {
	ref := cluster.ProtectedModels.In(namespace, modelName(v.Model))
	ref.Sub = "status"
	var err error
	for range 2 * tries {
		if err = a.status(ctx, ref, v); fault.KindOf(err) != fault.Conflict {
			break
		}
	}
	if err != nil {
		return err
	}
	return a.readBack(ctx, ref, func(o cluster.Object) bool {
		return o.Number(cluster.Pointer("status", "nodes", a.entry(), "sequence")) >= int(v.Sequence)
	})
}

func (a *Announcer) status(ctx context.Context, ref cluster.Ref, v verdict.Verdict) error {
	main := ref
	main.Sub = ""
	o, err := a.api.Get(ctx, main)
	if fault.KindOf(err) == fault.NotFound {
		fresh := cluster.Object{"spec": map[string]any{"model": v.Model}}
		fresh["metadata"] = a.meta(main, fresh)
		o, err = a.api.Create(ctx, main.Kind, fresh, false)
	}
	if err != nil {
		return err
	}
	if named := o.Text("/spec/model"); named != v.Model {
		return fault.New(fault.Invalid, "%s is about the model %.80q and not %.80q", main, named, v.Model).
			WithHint("give it another name, or correct its spec.model")
	}
	nodes := map[string]any{}
	if was, ok := o.At("/status/nodes"); ok {
		if m, ok := was.(map[string]any); ok {
			nodes = m
		}
	}
	mine := map[string]any{
		"node": v.Node, "state": string(v.State), "lookedAt": v.At.Format(time.RFC3339), "sequence": int64(v.Sequence), "agentVersion": v.Agent,
	}
	if v.Root != "" {
		mine["rootDigest"] = v.Root
	}
	if _, known := nodes[a.entry()]; !known && len(nodes) >= maxNodes {
		return fault.New(fault.Invalid, "%s lists %d nodes already", main, len(nodes))
	}
	nodes[a.entry()] = mine
	_, err = a.api.Patch(ctx, ref, replace(o, map[string]any{"/status": statusOf(nodes, o, v.At)}), false)
	return err
}

// entry is the key of this agent among the nodes.
func (a *Announcer) entry() string {
	if a.Pod == "" {
		return a.Node
	}
	return a.Node + "." + a.Pod
}

// statusOf sums up what is said of all nodes.
func statusOf(nodes map[string]any, before cluster.Object, at time.Time) map[string]any {
	digests, trusted, errors := map[string]any{}, 0, 0
	for _, v := range nodes {
		one, _ := v.(map[string]any)
		o := cluster.Object(one)
		switch verdict.State(o.Text("/state")) {
		case verdict.Trusted:
			trusted++
		case verdict.Tampered, verdict.Untrusted, verdict.Unverified:
		default:
			errors++
		}
		if root := o.Text("/rootDigest"); root != "" {
			n, _ := digests[root].(int64)
			digests[root] = n + 1
		}
	}
	value, reason := "False", "NotTheBaseline"
	switch {
	case trusted == len(nodes):
		value, reason = "True", "EveryNodeTrusted"
	case trusted+errors == len(nodes):
		value, reason = "Unknown", "CouldNotLook"
	}
	since := at.Format(time.RFC3339)
	for _, c := range before.Items("/status/conditions") {
		if c.Text("/type") == "Trusted" && c.Text("/status") == value {
			since = c.Text("/lastTransitionTime")
		}
	}
	return map[string]any{
		"nodes": nodes, "digests": digests, "observed": int64(len(nodes)), "trusted": int64(trusted),
		"conditions": []any{map[string]any{
			"type": "Trusted", "status": value, "reason": reason, "lastTransitionTime": since,
			"message": fmt.Sprintf("%d of %d nodes see the model of a baseline that somebody vouches for", trusted, len(nodes)),
		}},
	}
}

// modelName is the name of a model's own object: its id where that is one.
func modelName(id string) string {
	if name := slug(id); name == id {
		return name
	}
	sum := sha256.Sum256([]byte(id))
	return slug(id) + "-" + hex.EncodeToString(sum[:4])
}
