package keras

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"

	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/format/json"
	"github.com/weightwarden/weightwarden/internal/format/python"
)

// Keep implements [json.Handler].
func (j *judge) Keep(key string) bool {
	switch key {
	case "class_name", "module", "registered_name", "config", "spec_name", "name":
		return true
	}
	return false
}

// Twice implements [json.Handler]. The detector that covers JSON reports it.
func (j *judge) Twice(json.Path, int64) error { return j.ctx.Err() }

// minEncoded is the length from which on a string of base64 can hold
// something that loads.
const minEncoded = 64

// Scalar implements [json.Handler].
func (j *judge) Scalar(p json.Path, v json.Value) error {
	if v.Kind != json.String || len(p) == 0 || !inConfig(p) {
		return nil
	}
	text := string(v.Text)
	switch key := p[len(p)-1].Key; {
	case strings.HasSuffix(key, "_type") && text == "lambda":
		j.hit(ruleLambda, p, v.Offset, "Lambda", "the layer at %.80q holds compiled Python in %.40q", p.String(), strings.TrimSuffix(key, "_type"))
	case key == "vocabulary" && text != "":
		j.hit(ruleVocabulary, p, v.Offset, "", "the vocabulary at %.80q is read from %.120q", p.String(), text)
	case key == "function" && reaches(text), key == "node_def" && reaches(text):
		j.hit(ruleGadget, p, v.Offset, text, "the layer at %.80q calls %.80q of TensorFlow", p.String(), text)
	case marshalled(p, text):
		j.hit(ruleLambda, p, v.Offset, "Lambda", "the layer at %.80q holds compiled Python", p.String())
	}
	if len(text) < minEncoded {
		return nil
	}
	return j.encoded(p, v)
}

// operators of TensorFlow that a layer may name as its function, or has in its
// node, and that reach files, Python or libraries.
var operators = []string{
	"io.", "raw_ops.", "py_func", "numpy_function", "load_op_library", "load_library", "saved_model.", "data.", "ReadFile", "WriteFile", "PyFunc",
	"EagerPyFunc", "MatchingFiles", "ShellExecute", "LoadLibrary",
}

func reaches(text string) bool {
	for _, o := range operators {
		if strings.HasPrefix(text, o) || o[0] < 'a' && strings.Contains(text, "\""+o) {
			return true
		}
	}
	return false
}

// inConfig reports whether a path is below the "config" of an object.
func inConfig(p json.Path) bool { return p.Has("config") }

// marshalled recognises how Keras 2 writes code: as the first element of a
// list, in base64 of a marshalled code object.
func marshalled(p json.Path, text string) bool {
	if len(p) < 2 || p[len(p)-1].Index != 0 {
		return false
	}
	switch p[len(p)-2].Key {
	case "function", "output_shape", "mask", "arguments":
	default:
		return false
	}
	data, err := base64.StdEncoding.DecodeString(strings.Map(dropSpace, text))
	return err == nil && len(data) > 0 && data[0]&0x7f == 'c'
}

func dropSpace(r rune) rune {
	if r == '\n' || r == '\r' || r == ' ' {
		return -1
	}
	return r
}

// encoded has what a long string of base64 holds probed for what loads.
func (j *judge) encoded(p json.Path, v json.Value) error {
	data, err := base64.StdEncoding.DecodeString(strings.Map(dropSpace, string(v.Text)))
	if err != nil {
		return nil //nolint:nilerr // text is no base64, and that is all there is to say
	}
	return j.out.Nested(j.ctx, detect.Member{
		Name: "(" + p[len(p)-1].Key + " decoded)", Offset: v.Offset, Opaque: true,
		Data: io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))),
	})
}

// Closed implements [json.Handler].
func (j *judge) Closed(p json.Path, at int64, f json.Fields) error {
	class := f.Text("class_name")
	_, hasConfig := f["config"]
	_, hasModule := f["module"]
	_, registered := f["registered_name"]
	if class == "" || !hasConfig && !hasModule && !registered {
		return j.ctx.Err()
	}
	o := object{p, at, class, f.Text("module"), f.Text("registered_name"), f.Text("config")}
	if class == "function" || class == "builtin_function_or_method" {
		j.function(o)
		return j.ctx.Err()
	}
	j.class(o)
	return j.ctx.Err()
}

// object is one object of a configuration that names a class.
type object struct {
	path                              json.Path
	at                                int64
	class, module, registered, config string
}

// name is what is imported.
func (o object) name(attribute string) string {
	if o.module == "" {
		return attribute
	}
	return o.module + "." + attribute
}

// class judges an object that makes an instance.
func (j *judge) class(o object) {
	name := o.name(o.class)
	say := func(rule, text string) { j.hit(rule, o.path, o.at, name, "%.120q "+text, name) }
	rest, inside := inKeras(o.module)
	inside = inside || o.module == ""
	switch {
	case o.class == "__lambda__":
		say(ruleLambda, "holds compiled Python")
	case o.class == "__typespec__":
		if !strings.HasPrefix(o.module, "tensorflow.") {
			say(ruleForeign, "is imported from where no type of TensorFlow is")
		}
	case inside && o.class == "Lambda", inside && (o.class == "JaxLayer" || o.class == "FlaxLayer"):
		say(ruleNoCode, "names a function")
	case inside && o.class == "TorchModuleWrapper":
		say(ruleTorch, "unpickles a module of torch")
	case inside && o.class == "TFSMLayer":
		say(ruleTFSM, "loads another model")
	case unsafeSwitch[o.class], strings.HasPrefix(rest, "config") && inside && rest != "":
		say(ruleUnsafe, "changes how the rest is read")
	case inside && gadgets[o.class]:
		say(ruleGadget, "reaches files or connections")
	case !inside && runs(o.module, o.class):
		say(ruleForeign, "is no class of Keras")
	case inside && python.Builtin(o.class) && o.module == "builtins":
		say(ruleForeign, "is a built-in of Python")
	case !inside || !classes[o.class] || custom(o):
		if !j.in.Allowed.Allows(o.module, o.class) {
			say(ruleCustom, "does not come with Keras")
		}
	}
}

// custom reports whether the object was registered under another name than
// that of its class, which the loader asks for first.
func custom(o object) bool {
	return o.registered != "" && o.registered != o.class && !strings.HasPrefix(o.registered, "keras.")
}

// runs reports whether a module has what runs code, or a name is one that no
// class has.
func runs(module, name string) bool {
	root, _, _ := strings.Cut(module, ".")
	function := name != "" && name[0] >= 'a' && name[0] <= 'z'
	return python.Standard(module) || python.Dunder(module+"."+name) || libraries[root] && function
}

// function judges an object that is a function by name.
func (j *judge) function(o object) {
	target := o.config
	if target == "" {
		target = o.registered
	}
	name := o.name(target)
	say := func(rule, text string) { j.hit(rule, o.path, o.at, name, "the function %.120q "+text, name) }
	rest, inside := inKeras(o.module)
	area, _, _ := strings.Cut(rest, ".")
	switch {
	case unsafeSwitch[target]:
		say(ruleUnsafe, "changes how the rest is read")
	case strings.HasPrefix(target, "_"):
		say(ruleForeign, "is a private one")
	case (o.module == "" || o.module == "builtins" || functionModules[area] && inside) && functions[target]:
	case inside && area == "ops" && !strings.Contains(strings.TrimPrefix(rest, "ops"), "."):
	case inside || gadgets[target]:
		say(ruleGadget, "is none that layers use")
	case (o.module == "" || o.module == "builtins") && !python.Builtin(target):
		if !j.in.Allowed.Allows(o.module, target) {
			say(ruleCustom, "does not come with Keras")
		}
	default:
		say(ruleForeign, "is none of Keras")
	}
}
