package repository

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/format/json"
	"github.com/weightwarden/weightwarden/internal/format/yaml"
)

// Keep implements [json.Handler].
func (j *judge) Keep(string) bool { return false }

// Closed implements [json.Handler].
func (j *judge) Closed(json.Path, int64, json.Fields) error { return j.ctx.Err() }

// Twice implements [json.Handler].
func (j *judge) Twice(p json.Path, at int64) error {
	j.again(p.String(), at)
	return j.ctx.Err()
}

// Scalar implements [json.Handler]. Most values are the tokens of a
// vocabulary, so that nothing is made of a value before its key is known.
func (j *judge) Scalar(p json.Path, v json.Value) error {
	key := p.Key()
	if v.Kind == json.Number && key != "use_kernels" {
		return nil
	}
	if isTemplate(p, key) && v.Kind == json.String {
		return j.template(v.Text, v.Offset)
	}
	if v.Kind == json.String && len(v.Text) >= minEncoded {
		if err := j.encoded(v.Text, v.Offset); err != nil {
			return err
		}
	}
	if len(v.Text) > maxValue || len(p) > maxSteps || !watched(p) {
		return nil
	}
	plain := value{key: key, text: string(v.Text), at: v.Offset, string: v.Kind == json.String}
	last := len(p) - 1
	for last >= 0 && p[last].Index >= 0 {
		last--
	}
	for i := range max(0, last) {
		if p[i].Index < 0 {
			plain.keys = append(plain.keys, p[i].Key)
		}
	}
	plain.where = p.String
	j.scalar(&plain)
	return j.ctx.Err()
}

// watched reports whether one of the keys of a path is one that a check asks
// about.
func watched(p json.Path) bool {
	for i := range p {
		if key := p[i].Key; p[i].Index < 0 && (watch[key] || codeKeys[key] || strings.Contains(key, "_implementation")) {
			return true
		}
	}
	return false
}

// watch are the keys of the checks, but for those that name code.
var watch = map[string]bool{
	"auto_map": true, "trust_remote_code": true, "use_kernels": true, "kernel_config": true, "hub_kernels": true, "kernels": true, "kernel_mapping": true,
	"custom_pipelines": true, "custom_pipeline": true, "_target_": true, "_partial_target_": true, "base_model_name_or_path": true, "auto_mapping": true,
	"_class_name": true, "loader_module": true,
}

// maxValue is the length of the longest name that a loader would take, and
// maxSteps how deep configurations are.
const (
	maxValue = 4096
	maxSteps = 64
)

// isTemplate knows the places of chat templates: a text, a list of named ones,
// or an object of them.
func isTemplate(p json.Path, key string) bool {
	if templateKeys[key] {
		return true
	}
	return key != "name" && (p.Has("chat_template") || p.Has("chat_templates"))
}

var templateKeys = map[string]bool{"chat_template": true, "chat_templates": true, "jinja_template": true, "default_chat_template": true}

func (j *judge) template(text []byte, at int64) error {
	if len(text) == 0 {
		return nil
	}
	text = bytes.Clone(text)
	return j.out.Nested(j.ctx, detect.Member{
		Name: fmt.Sprintf("(chat template at %d)", at), Offset: at, As: artifact.Template, Data: io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text))),
	})
}

// minEncoded is the length from which on base64 can hold something.
const minEncoded = 64

// encoded has what long base64 holds probed.
func (j *judge) encoded(text []byte, at int64) error {
	for _, c := range text[:minEncoded] {
		if c != '+' && c != '/' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '\n' && c != '-' && c != '_' {
			return nil
		}
	}
	clean := strings.NewReplacer("\n", "", "\r", "", "-", "+", "_", "/", "=", "").Replace(string(text))
	data, err := base64.RawStdEncoding.DecodeString(clean)
	if err != nil {
		return nil //nolint:nilerr // no base64, and that is all there is to say
	}
	return j.out.Nested(j.ctx, detect.Member{
		Name: fmt.Sprintf("(decoded at %d)", at), Offset: at, Opaque: true, Data: io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))),
	})
}

// yamlJudge takes the values of YAML.
type yamlJudge struct{ *judge }

// Twice implements [yaml.Handler].
func (y yamlJudge) Twice(n yaml.Node) error {
	y.again(n.Path, n.Offset)
	return y.ctx.Err()
}

// Value implements [yaml.Handler].
func (y yamlJudge) Value(n yaml.Node) error {
	switch {
	case strings.Contains(n.Tag, "python/"):
		y.python(n)
	case n.Tag != "":
		y.hit(ruleOtherTag, 0, 0, n.Path, n.Offset, n.Tag, "%.80q has the tag %.120q", n.Path, n.Tag)
	}
	if !n.Scalar || len(n.Value) > 1<<20 {
		return y.ctx.Err()
	}
	if templateKeys[n.Key] {
		return y.template([]byte(n.Value), n.Offset)
	}
	if len(n.Value) >= minEncoded {
		if err := y.encoded([]byte(n.Value), n.Offset); err != nil {
			return err
		}
	}
	if len(n.Value) <= maxValue {
		y.scalar(&value{key: n.Key, node: n.Path, text: n.Value, at: n.Offset, keys: steps(n.Path), string: true})
	}
	return y.ctx.Err()
}

// steps takes the keys around a value out of its path.
func steps(path string) []string {
	parts := strings.Split(path, ".")
	for n, p := range parts {
		if before, _, ok := strings.Cut(p, "["); ok {
			parts[n] = before
		}
	}
	return parts[:len(parts)-1]
}

// data are the tags of Python that make plain data.
var data = map[string]bool{
	"tuple": true, "str": true, "unicode": true, "int": true, "long": true, "float": true, "bool": true, "list": true, "dict": true, "none": true,
	"bytes": true, "complex": true,
}

func (y yamlJudge) python(n yaml.Node) {
	_, what, _ := strings.Cut(n.Tag, "python/")
	if data[what] {
		y.hit(ruleOtherTag, 0, 0, n.Path, n.Offset, n.Tag, "%.80q is Python's own: %.120q", n.Path, n.Tag)
		return
	}
	_, name, _ := strings.Cut(what, ":")
	y.hit(ruleTag, 0, 0, n.Path, n.Offset, name, "loading calls or imports %.120q", n.Tag)
}
