package playbook

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weightwarden/weightwarden/internal/stableid"
)

// cacaoNamespace is that of playbook ids in CACAO 2.0, section 10.10.
const cacaoNamespace = "aa7caf3a-d55a-4e9a-b34e-056215fba56a"

// WriteCACAO writes the playbook as a CACAO 2.0 playbook. CACAO knows one step
// after another and steps side by side, so the steps stand in layers: each
// layer waits for the one before, which keeps every order of ours and adds
// some. The gates are an extension of each step. All ids follow from the
// names, so that the same playbook gives the same bytes.
func WriteCACAO(w io.Writer, p Playbook) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(newCACAO(p).document()); err != nil {
		return fmt.Errorf("write CACAO playbook: %w", err)
	}
	return nil
}

type object = map[string]any

type cacao struct {
	Playbook
	workflow object
}

func newCACAO(p Playbook) *cacao { return &cacao{Playbook: p, workflow: object{}} }

// id names an object of a type; name has to be unique in the playbook.
func (c *cacao) id(kind, name string) string {
	return kind + "--" + stableid.New(stableid.Namespace, "cacao/"+c.Name+"/"+kind+"/"+name).String()
}

// playbookID follows the rule of the specification: the canonical JSON of name
// and playbook_types in its namespace.
func (c *cacao) playbookID(types []string) string {
	ns, err := stableid.Parse(cacaoNamespace)
	if err != nil {
		panic(err) // a constant
	}
	name, err := json.Marshal(struct {
		Name  string   `json:"name"`
		Types []string `json:"playbook_types"`
	}{c.Name, types})
	if err != nil {
		panic(err) // strings always encode
	}
	return "playbook--" + stableid.New(ns, string(name)).String()
}

func (c *cacao) document() object {
	types := []string{"mitigation", "remediation"}
	start, agent, extension := c.id("start", ""), c.id("group", "responders"), c.extensionID()
	identity := "identity--" + stableid.New(stableid.Namespace, "weightwarden").String()
	c.workflow[start] = object{"type": "start", "on_completion": c.chain(c.layers())}
	references := []object{
		{"name": "NIST SP 800-61r3", "url": "https://csrc.nist.gov/pubs/sp/800/61/r3/final"},
		{"name": "MITRE ATLAS", "url": "https://atlas.mitre.org"},
	}
	return object{
		"type": "playbook", "spec_version": "cacao-2.0", "id": c.playbookID(types), "name": c.Name, "description": c.Description,
		"playbook_types": types, "playbook_activities": c.activities(), "created_by": identity,
		"created": milliseconds(c.Created), "modified": milliseconds(c.Modified),
		"external_references": references, "workflow_start": start, "workflow": c.workflow,
		"agent_definitions": object{agent: object{"type": "group", "name": "Incident responders"}},
		"extension_definitions": object{extension: object{
			"type": "extension-definition", "name": "weightwarden gates", "created_by": identity, "version": "1.0.0",
			"description": "What a step must not be done without, where it stands and what it answers.",
			"schema":      "gates: list of {id, rule}; after: list of step names; csf: list of CSF 2.0 subcategories; atlas: list of ATLAS techniques",
		}},
	}
}

func (c *cacao) extensionID() string { return c.id("extension-definition", "gates") }

// milliseconds writes a time as CACAO wants it: exactly three fractional
// digits.
func milliseconds(t string) string { return strings.TrimSuffix(t, "Z") + ".000Z" }

func (c *cacao) activities() []string {
	var out []string
	for _, s := range c.Steps {
		if s.Activity != "" && !slices.Contains(out, s.Activity) {
			out = append(out, s.Activity)
		}
	}
	slices.Sort(out)
	return out
}

// layers puts every step into the first layer in which all that it waits for
// lies before it.
func (c *cacao) layers() (layers [][]Step) {
	depth := map[string]int{}
	for range c.Steps { // a longer chain than there are steps does not exist
		for _, s := range c.Steps {
			for _, after := range s.After {
				depth[s.ID] = max(depth[s.ID], depth[after]+1)
			}
		}
	}
	for _, s := range c.Steps {
		for len(layers) <= depth[s.ID] {
			layers = append(layers, nil)
		}
		layers[depth[s.ID]] = append(layers[depth[s.ID]], s)
	}
	return layers
}

// chain adds the layers to the workflow, from the last to the first, and
// returns the id of what comes first.
func (c *cacao) chain(layers [][]Step) string {
	next := c.id("end", "")
	c.workflow[next] = object{"type": "end"}
	for n, layer := range slices.Backward(layers) {
		if len(layer) == 1 {
			next = c.action(layer[0], next)
			continue
		}
		var branches []string
		for _, s := range layer {
			end := c.id("end", s.ID)
			c.workflow[end] = object{"type": "end"}
			branches = append(branches, c.action(s, end))
		}
		side := c.id("parallel", fmt.Sprint(n))
		c.workflow[side] = object{"type": "parallel", "name": "Side by side", "next_steps": branches, "on_completion": next}
		next = side
	}
	return next
}

// action adds a step, whose commands people carry out, and returns its id.
func (c *cacao) action(s Step, next string) string {
	var commands []object
	for _, text := range append(slices.Clone(s.Commands), s.People) {
		if text != "" {
			commands = append(commands, object{"type": "manual", "command": text, "playbook_activity": s.Activity})
		}
	}
	if commands == nil {
		commands = []object{{"type": "manual", "command": s.Title, "playbook_activity": s.Activity}}
	}
	var references []object
	for _, id := range s.Atlas {
		references = append(references, object{"name": "MITRE ATLAS " + id, "external_id": id, "url": "https://atlas.mitre.org/techniques/" + id})
	}
	step := object{
		"type": "action", "name": s.Title, "description": s.Reason, "commands": commands, "agent": c.id("group", "responders"), "on_completion": next,
		"step_extensions": object{c.extensionID(): object{"step": s.ID, "after": s.After, "gates": c.gatesOf(s), "csf": s.CSF, "atlas": s.Atlas}},
	}
	if references != nil {
		step["external_references"] = references
	}
	id := c.id("action", s.ID)
	c.workflow[id] = step
	return id
}

func (c *cacao) gatesOf(s Step) []Gate {
	gates := []Gate{}
	for _, g := range c.Gates {
		if slices.Contains(s.Gates, g.ID) {
			gates = append(gates, g)
		}
	}
	return gates
}
