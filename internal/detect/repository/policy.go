package repository

import (
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/python"
)

// check is one thing to know about configurations.
type check struct {
	// applies decides by the key and those around it; it is asked for every
	// value and has to be quick.
	applies func(v *value) bool
	judge   func(j *judge, v *value)
}

func keyed(keys ...string) func(*value) bool {
	return func(v *value) bool { return slices.Contains(keys, v.key) }
}

// checks are asked for each scalar.
var checks = []check{
	{func(v *value) bool { return v.below("auto_map") || v.key == "auto_map" }, (*judge).autoMap},
	{keyed("trust_remote_code"), (*judge).trust},
	{implementation, (*judge).kernel},
	{keyed("use_kernels", "kernel_config", "hub_kernels", "kernels", "kernel_mapping"), (*judge).kernel},
	{func(v *value) bool {
		return v.below("kernel_config") || v.below("hub_kernels") || v.below("kernel_mapping")
	}, (*judge).kernel},
	{func(v *value) bool {
		return v.below("custom_pipelines") || v.key == "custom_pipelines" || v.key == "custom_pipeline"
	}, (*judge).pipeline},
	{keyed("_target_", "_partial_target_"), (*judge).target},
	{keyed("loader_module"), (*judge).loaderModule},
	{keyed("base_model_name_or_path"), (*judge).baseModel},
	{func(v *value) bool { return v.below("auto_mapping") }, (*judge).autoMapping},
	{func(v *value) bool { return codeKeys[v.key] }, (*judge).named},
	{func(v *value) bool { return v.key == "_class_name" && len(v.keys) == 0 }, (*judge).className},
}

// implementation applies to the implementation of a part, and to those of the
// parts of a model that has several.
func implementation(v *value) bool {
	is := func(key string) bool {
		return strings.HasSuffix(key, "_implementation") || strings.HasSuffix(key, "_implementation_internal")
	}
	return is(v.key) || slices.ContainsFunc(v.keys, is)
}

// scalar judges one value.
func (j *judge) scalar(v *value) {
	for _, c := range checks {
		if c.applies(v) {
			if v.where != nil {
				v.node, v.where = v.where(), nil
			}
			c.judge(j, v)
		}
	}
}

// empty values say nothing.
func (v *value) empty() bool {
	return v.text == "" || v.text == "null" && !v.string || v.text == "~" && !v.string
}

func (v *value) truth() bool {
	switch strings.ToLower(v.text) {
	case "true", "yes", "on", "1":
		return true
	}
	return false
}

func (j *judge) autoMap(v *value) {
	switch {
	case v.empty() || !v.string:
	case strings.Contains(v.text, "--") || strings.ContainsAny(v.text, "/:\\"):
		j.hit(ruleForeignCode, 0, 0, v.node, v.at, v.text, "%.80q is loaded from another repository: %.120q", v.node, v.text)
	default:
		j.hit(ruleOwnCode, 0, 0, v.node, v.at, v.text, "%.80q is code of this repository: %.120q", v.node, v.text)
	}
}

func (j *judge) trust(v *value) {
	if v.truth() {
		j.hit(ruleTrust, 0, 0, v.node, v.at, "", "%.80q is set", v.node)
	}
}

// implementations come with the libraries.
var implementations = map[string]bool{
	"eager": true, "sdpa": true, "flash_attention_2": true, "flash_attention_3": true, "flex_attention": true, "flash_attention": true,
	"paged_attention": true, "sdpa_paged": true, "eager_paged": true, "flash_attention_4": true, "grouped_mm": true, "batched_mm": true, "xformers": true,
}

func (j *judge) kernel(v *value) {
	text := strings.TrimPrefix(v.text, "paged|")
	switch {
	case v.empty() || text == "false" || implementations[text]:
	case v.string && strings.ContainsAny(text, "/:@\\"):
		j.hit(ruleKernel, 0, 0, v.node, v.at, v.text, "%.80q is compiled code from %.120q", v.node, v.text)
	case v.truth(), v.string && strings.Contains(v.node, "attn"):
		j.hit(ruleKernel, finding.Medium, finding.Suspicious, v.node, v.at, v.text, "%.80q is %.120q, which no library brings along", v.node, v.text)
	}
}

func (j *judge) pipeline(v *value) {
	if v.string && !v.empty() && (v.key == "impl" || v.key == "custom_pipeline" || v.key == "custom_pipelines" || v.key == "module") {
		j.hit(rulePipeline, 0, 0, v.node, v.at, v.text, "%.80q is code: %.120q", v.node, v.text)
	}
}

// className is what a pipeline of diffusers is: a name, or a module of the
// repository and a name.
func (j *judge) className(v *value) {
	if strings.HasSuffix(v.node, "[0]") && !v.empty() {
		j.hit(rulePipeline, 0, 0, v.node, v.at, v.text, "the pipeline is code of this repository: %.120q", v.text)
	}
}

// harmless are what configurations build of Python itself.
var harmless = map[string]bool{
	"builtins.int": true, "builtins.float": true, "builtins.str": true, "builtins.bool": true, "builtins.list": true, "builtins.dict": true,
	"builtins.tuple": true, "builtins.set": true, "builtins.range": true, "builtins.slice": true, "builtins.frozenset": true, "builtins.complex": true,
	"collections.OrderedDict": true, "collections.deque": true, "collections.Counter": true, "datetime.timedelta": true, "datetime.datetime": true,
	"datetime.date": true, "fractions.Fraction": true, "decimal.Decimal": true, "pathlib.Path": true, "pathlib.PurePath": true,
}

// builders are packages whose classes configurations usually build.
var builders = []string{
	"nemo.collections.", "nemo.core.", "torch.nn.", "torch.optim.", "torchvision.transforms.", "torchvision.models.", "torchaudio.transforms.",
	"pytorch_lightning.", "lightning.pytorch.", "lightning.fabric.", "megatron.core.", "torchmetrics.", "timm.", "diffusers.", "transformers.", "torchtune.",
	"monai.", "nvidia.modulus.", "physicsnemo.", "bionemo.",
}

// doers are last parts of names that load, run or fetch.
var doers = []string{
	"system", "popen", "Popen", "exec", "eval", "run", "call", "check_output", "load", "loads", "open", "compile", "getattr", "setattr", "import_module",
	"read_pickle", "get_method", "get_object", "get_class", "get_static_method", "locate", "urlopen", "urlretrieve", "hub", "load_state_dict_from_url",
	"load_module", "run_path", "run_module", "spawn", "fork", "unsafe_load", "runstring", "restore_from", "load_library", "extractall", "rmtree",
}

func (j *judge) target(v *value) {
	name := v.text
	last := name[strings.LastIndexByte(name, '.')+1:]
	module, _, _ := strings.Cut(name, "."+last)
	capital := last != "" && last[0] >= 'A' && last[0] <= 'Z'
	switch {
	case v.empty() || harmless[name] || j.in.Allowed.Allows(module, last):
	case !python.IsName(name):
		j.hit(ruleUnknown, 0, 0, v.node, v.at, name, "%.80q is no name: %.120q", v.node, name)
	case python.Standard(name), python.Dunder(name), slices.Contains(doers, last), !strings.Contains(name, ".") && python.Builtin(name):
		j.hit(ruleTarget, 0, 0, v.node, v.at, name, "%.80q calls %.120q", v.node, name)
	case capital && !strings.Contains(name, "._") && slices.ContainsFunc(builders, func(b string) bool { return strings.HasPrefix(name, b) }):
	default:
		j.hit(ruleUnknown, 0, 0, v.node, v.at, name, "%.80q calls %.120q", v.node, name)
	}
}

func (j *judge) baseModel(v *value) {
	switch {
	case v.empty() || !v.string:
	case strings.HasPrefix(v.text, "/") || strings.Contains(v.text, "..") || strings.ContainsAny(v.text, ":\\") || strings.HasPrefix(v.text, "~"):
		j.hit(ruleBase, finding.High, 0, v.node, v.at, v.text, "the adapter is loaded with a model at %.120q", v.text)
	default:
		j.hit(ruleBase, 0, 0, v.node, v.at, v.text, "the adapter is loaded with the model %.120q, which is not here", v.text)
	}
}

// autoMapping names a library that PEFT imports.
func (j *judge) autoMapping(v *value) {
	root, _, _ := strings.Cut(v.text, ".")
	if v.key != "parent_library" || v.empty() || slices.Contains([]string{"transformers", "diffusers", "peft", "timm", "sentence_transformers"}, root) {
		return
	}
	verdict := finding.Suspicious
	if python.Standard(v.text) || python.Dunder(v.text) {
		verdict = finding.Malicious
	}
	j.hit(ruleBase, finding.High, verdict, v.node, v.at, v.text, "the adapter imports %.120q", v.text)
}

// loaderModule is the module that MLflow imports for a model.
func (j *judge) loaderModule(v *value) {
	if v.empty() || strings.HasPrefix(v.text, "mlflow.") && !strings.Contains(v.text, "._") && strings.Count(v.text, ".") <= 2 {
		return
	}
	verdict := finding.Suspicious
	if python.Standard(v.text) || python.Dunder(v.text) {
		verdict = finding.Malicious
	}
	j.hit(ruleLoader, 0, verdict, v.node, v.at, v.text, "MLflow imports %.120q to load the model", v.text)
}

// codeKeys are under which loaders name what they import.
var codeKeys = map[string]bool{
	"class": true, "_class": true, "cls": true, "class_path": true, "module": true, "module_path": true, "function": true, "func": true, "fn": true,
	"callable": true, "loader": true, "loader_module": true, "handler": true, "entry_point": true, "entrypoint": true, "import": true, "impl": true,
	"factory": true, "type": true, "_type_": true, "target": true, "__class__": true, "__module__": true, "parent_library": true, "python_class": true,
	"custom_class": true, "custom_loader": true, "python_function": true, "object": true, "command": true, "callback": true, "reader": true, "backend": true,
}

// runners are modules that run, load or fetch. Names of other modules of the
// standard library ("types.x") also are words.
var runners = []string{
	"os", "posix", "nt", "subprocess", "sys", "builtins", "__builtin__", "importlib", "runpy", "pty", "socket", "shutil", "ctypes", "pickle", "marshal",
	"shelve", "code", "codeop", "commands", "popen2", "multiprocessing", "urllib", "urllib2", "http", "ftplib", "smtplib", "webbrowser", "pkgutil",
	"pydoc", "timeit", "cProfile", "profile", "pdb", "bdb", "imp", "zipimport", "tempfile", "fileinput", "linecache", "_posixsubprocess", "asyncio",
}

func (j *judge) named(v *value) {
	root, rest, dotted := strings.Cut(v.text, ".")
	if !v.string || len(v.text) > 200 || !python.IsName(v.text) {
		return
	}
	switch {
	case dotted && slices.Contains(runners, root), python.Dunder(v.text) && v.text != "__main__":
		j.hit(ruleImport, 0, 0, v.node, v.at, v.text, "%.80q names %.120q", v.node, v.text)
	case v.key == "type" && root == "sentence_transformers" && strings.Contains(rest, "_"):
	case strings.HasSuffix(j.base, "modules.json") && v.key == "type" && dotted && root != "sentence_transformers":
		j.hit(ruleOwnCode, 0, 0, v.node, v.at, v.text, "the module %.120q is code that does not come with sentence-transformers", v.text)
	}
}
