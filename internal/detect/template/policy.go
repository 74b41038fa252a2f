package template

import (
	"strings"

	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/format/jinja"
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

var (
	// functions are those that renderers of chat templates give.
	functions = set("raise_exception strftime_now namespace range dict loop caller super joiner zip enumerate len _ min max")
	// methods are those of texts, lists and mappings that change nothing else.
	methods = set(`get items keys values append pop insert extend update setdefault copy index count reverse sort clear remove
		split rsplit splitlines partition rpartition strip lstrip rstrip startswith endswith removeprefix removesuffix replace find rfind rindex join
		lower upper title capitalize casefold swapcase center ljust rjust zfill isdigit isalpha isalnum isnumeric isspace islower isupper isdecimal
		isidentifier istitle format encode decode strftime isoformat cycle changed union intersection add expandtabs translate`)
	// filters are those of Jinja, but for attr, and those that renderers of
	// chat templates add.
	filters = set(`abs batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format groupby indent int items
		join last length list lower map max min pprint random reject rejectattr replace reverse round safe select selectattr slice sort string striptags
		sum title tojson trim truncate unique upper urlencode urlize wordcount wordwrap xmlattr fromjson from_json strip`)
	tests = set(`boolean callable defined divisibleby eq equalto escaped even false filter float ge gt greaterthan in integer iterable le lessthan lower
		lt mapping ne none None number odd sameas sequence string test true undefined upper == != < > <= >= True False`)
	// objects begin injections: the engine's own, and those of web frameworks.
	objects = set("self lipsum cycler request url_for get_flashed_messages environment current_app session g __import__ os sys subprocess eval exec open")
	// ways are attributes that lead from a value to frames, modules, programs.
	ways = set(`mro subclasses func_globals func_code func_defaults gi_frame gi_code cr_frame cr_code ag_frame ag_code tb_frame tb_next f_globals
		f_locals f_builtins f_back f_code im_func im_self im_class co_code co_consts globals builtins`)
	// programs are methods that run or open something.
	programs = set("popen system eval exec execfile open check_output call Popen run import_module load_module spawn fork compile getattr setattr read_text write_text")
	// named are filters whose argument is an attribute or the name of a filter.
	named = set("map selectattr rejectattr groupby sort sum unique min max")
)

// names learns what the template defines. Scopes are not told apart.
func (j *judge) names(root *jinja.Node) {
	j.own, j.macros, j.constants, j.content = map[string]bool{}, map[string]bool{}, map[string]string{}, map[string]bool{}
	j.values = map[string]*jinja.Node{}
	root.Walk(func(n *jinja.Node) bool {
		switch n.Kind {
		case jinja.Macro:
			j.macros[n.Name] = true
			for _, p := range n.Kids[0].Kids {
				j.own[p.Name] = true
			}
		case jinja.Set:
			j.assigned(n.Kids[0])
			if n.Kids[0].Kind == jinja.Name && n.Kids[1].Kind == jinja.Dict {
				j.values[n.Kids[0].Name] = n.Kids[1]
			}
			if text, ok := j.fold(n.Kids[1], 0); ok && n.Kids[0].Kind == jinja.Name {
				j.constants[n.Kids[0].Name] = text
			}
		case jinja.For, jinja.SetBlock:
			j.assigned(n.Kids[0])
		default:
		}
		return true
	})
}

func (j *judge) assigned(target *jinja.Node) {
	target.Walk(func(n *jinja.Node) bool {
		if n.Kind == jinja.Name {
			j.own[n.Name] = true
		}
		return true
	})
}

// policy judges every access, call, filter and load.
func (j *judge) policy(root *jinja.Node) {
	root.Walk(func(n *jinja.Node) bool {
		switch n.Kind {
		case jinja.Attr:
			j.access(n, n.Name)
		case jinja.Item:
			j.item(n, n.Kids[1])
		case jinja.Call:
			j.call(n)
		case jinja.Filter:
			j.filter(n)
		case jinja.Test:
			if !tests[n.Name] {
				j.hit(ruleFilter, 0, n, n.Name, "the test %.80q is none of Jinja's", n.Name)
			}
		case jinja.Load:
			j.hit(ruleLoad, 0, n, n.Name, "the template has %q", n.Name)
		case jinja.Name:
			j.variable(n)
		default:
		}
		return true
	})
}

// access judges reading by a name that is known.
func (j *judge) access(n *jinja.Node, name string) {
	for part := range strings.SplitSeq(name, ".") {
		switch {
		case strings.HasPrefix(part, "__"), ways[part]:
			j.hit(ruleWalk, 0, n, part, "the template reads %.80q", part)
		case len(part) > 1 && strings.HasPrefix(part, "_"):
			j.hit(ruleWalk, finding.Suspicious, n, part, "the template reads %.80q", part)
		}
	}
}

// item judges reading by an expression. Indexes and variables of the template
// are what it is for; names that are put together are not.
func (j *judge) item(n, index *jinja.Node) {
	if text, ok := j.fold(index, 0); ok {
		j.access(n, text)
		if index.Kind != jinja.Str && index.Kind != jinja.Name {
			j.hit(ruleComputed, 0, n, text, "the template puts the name %.80q together", text)
		}
		return
	}
	switch index.Kind {
	case jinja.Filter:
		if !filters[index.Name] || index.Name == "join" || index.Name == "format" || index.Name == "replace" || index.Name == "reverse" {
			j.hit(ruleComputed, 0, n, "", "the template computes the name of an element")
		}
	case jinja.Binary:
		if index.Name == "~" || index.Name == "%" && index.Kids[0].Kind == jinja.Str {
			j.hit(ruleComputed, 0, n, "", "the template computes the name of an element")
		}
	default:
	}
}

func (j *judge) variable(n *jinja.Node) {
	switch {
	case strings.HasPrefix(n.Name, "__"):
		j.hit(ruleWalk, 0, n, n.Name, "the template reads %.80q", n.Name)
	case objects[n.Name] && !j.own[n.Name]:
		j.hit(ruleObject, 0, n, n.Name, "the template names %.80q", n.Name)
	}
}

// call judges what is called.
func (j *judge) call(n *jinja.Node) {
	callee := n.Kids[0]
	switch callee.Kind {
	case jinja.Name:
		if !functions[callee.Name] && !j.macros[callee.Name] {
			j.hit(ruleCall, 0, n, callee.Name, "the template calls %.80q", callee.Name)
		}
	case jinja.Attr:
		switch {
		case programs[callee.Name]:
			j.hit(ruleWalk, 0, n, callee.Name, "the template calls %.80q", callee.Name)
		case callee.Name == "format" || callee.Name == "format_map":
			j.format(n, callee.Kids[0])
		case !methods[callee.Name] && !j.own[callee.Name]:
			j.hit(ruleCall, 0, n, callee.Name, "the template calls the method %.80q", callee.Name)
		}
	default:
		j.hit(ruleCall, 0, n, "", "the template calls what it computes")
	}
}

// format judges str.format, whose fields read attributes.
func (j *judge) format(n, receiver *jinja.Node) {
	text, ok := j.fold(receiver, 0)
	if !ok {
		j.hit(ruleCall, 0, n, "format", "the template formats by a text that it does not hold")
		return
	}
	for text != "" {
		_, rest, found := strings.Cut(text, "{")
		if !found {
			return
		}
		field, after, _ := strings.Cut(rest, "}")
		if strings.ContainsAny(field, ".[") && strings.Contains(field, "_") {
			j.hit(ruleWalk, 0, n, field, "the template formats with the field %.80q", field)
		}
		text = after
	}
}

// filter judges a filter and the names that it is given.
func (j *judge) filter(n *jinja.Node) {
	name, args := n.Name, n.Kids[1:]
	switch {
	case name == "attr":
		j.attr(n, args)
		return
	case !filters[name]:
		j.hit(ruleFilter, 0, n, name, "the filter %.80q is none of Jinja's", name)
		return
	case !named[name]:
		return
	}
	for i, a := range args {
		value, attribute := a, i == 0 && name != "map"
		if a.Kind == jinja.Keyword {
			value, attribute = a.Kids[0], a.Name == "attribute"
		}
		text, ok := j.fold(value, 0)
		switch {
		case attribute && ok:
			j.access(n, text)
		case attribute && value.Kind != jinja.Const && value.Kind != jinja.Num && value.Kind != jinja.Name:
			j.hit(ruleComputed, 0, n, "", "the template computes the name of an attribute")
		case name == "map" && i == 0 && a.Kind != jinja.Keyword:
			j.mapped(n, args, text, ok)
		}
	}
}

// mapped judges map with the name of a filter.
func (j *judge) mapped(n *jinja.Node, args []*jinja.Node, text string, ok bool) {
	switch {
	case !ok:
		j.hit(ruleComputed, 0, n, "", "the template computes the name of a filter")
	case text == "attr":
		j.attr(n, args[1:])
	case !filters[text]:
		j.hit(ruleFilter, 0, n, text, "the filter %.80q is none of Jinja's", text)
	}
}

// attr judges reading an attribute past the sandbox.
func (j *judge) attr(n *jinja.Node, args []*jinja.Node) {
	if len(args) > 0 {
		value := args[0]
		if value.Kind == jinja.Keyword {
			value = value.Kids[0]
		}
		if text, ok := j.fold(value, 0); ok {
			j.access(n, text)
		} else {
			j.hit(ruleComputed, finding.Malicious, n, "attr", "the template reads an attribute whose name it computes")
		}
	}
	j.hit(ruleFilter, 0, n, "attr", "the filter attr reads attributes past the sandbox")
}
