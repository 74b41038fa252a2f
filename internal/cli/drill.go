package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/contain/directory"
)

func newDrill(g *globals) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "drill", Short: "The whole story on a throw-away model store", Args: cobra.NoArgs,
		Long: `Makes a small model store with two signed versions in a temporary directory,
deploys one, tampers with it, and answers: detection, declaration, evidence,
isolation, investigation, rollback, messages, report. Every step runs the real
command and is checked against what it should show.

Exit code 1 when a step does not show what it should.`,
		Example: "  weightwarden drill\n  weightwarden drill --keep",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDrill(cmd.Context(), g, keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the directory to look around in")
	return cmd
}

// drill is a story being told.
type drill struct {
	g        *globals
	dir      string
	incident string
	Steps    []drillStep `json:"steps"`
}

// drillStep is one command of the story and what came of it.
type drillStep struct {
	Title   string `json:"title"`
	Command string `json:"command"`
	Exit    int    `json:"exit"`
	Want    int    `json:"want"`
	// Wrong says what the step should have shown and did not.
	Wrong string `json:"wrong,omitempty"`
}

// scene is a step as it is written down: a title for people, the arguments,
// the exit code it must have and what its output must hold.
type scene struct {
	title string
	args  []string
	want  int
	shows func(d *drill, out []byte) error
}

func runDrill(ctx context.Context, g *globals, keep bool) error {
	dir, err := os.MkdirTemp(g.TempDir, "weightwarden-drill-")
	if err != nil {
		return fmt.Errorf("make a place for the drill: %w", err)
	}
	if !keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	d := &drill{g: g, dir: dir, Steps: []drillStep{}}
	began := g.Now()
	wrong := d.tell(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	out := struct {
		*drill
		Directory string  `json:"directory,omitempty"`
		Passed    bool    `json:"passed"`
		Seconds   float64 `json:"seconds"`
	}{drill: d, Passed: wrong == nil, Seconds: g.Now().Sub(began).Seconds()}
	if keep {
		out.Directory = dir
	}
	err = g.print(out, func(p *printer) {
		if wrong != nil {
			p.printf("\nthe drill did NOT hold: %s\n", oneLine(wrong.Error()))
		} else {
			p.printf("\nthe drill holds: %d steps in %.1f s\n", len(d.Steps), out.Seconds)
		}
		if keep {
			p.printf("look around: %s\n  weightwarden --state %s --config %s incident show %s\n", dir, d.path("state"), d.path("config.yaml"), d.incident)
		}
	})
	if err != nil {
		return err
	}
	return outcome(wrong != nil, false, false)
}

func (d *drill) path(elements ...string) string {
	return filepath.Join(append([]string{d.dir}, elements...)...)
}

// tell plays the acts in order and stops at the first that goes wrong.
func (d *drill) tell(ctx context.Context) error {
	acts := []func() ([]scene, error){d.release, d.deploy, d.attack, d.respond, d.recover, d.report}
	for _, act := range acts {
		scenes, err := act()
		if err != nil {
			return err
		}
		for _, s := range scenes {
			if err := d.play(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// play runs one command in this process and checks what it shows.
func (d *drill) play(ctx context.Context, s scene) error {
	env := d.g.Env
	var stdout, stderr bytes.Buffer
	env.Stdout, env.Stderr, env.OutTerminal, env.ErrTerminal = &stdout, &stderr, false, false
	for i, arg := range s.args {
		if arg == "INCIDENT" {
			s.args[i] = d.incident
		}
	}
	args := append([]string{"--state", d.path("state"), "--config", d.path("config.yaml"), "-o", "json"}, s.args...)
	step := drillStep{Title: s.title, Command: "weightwarden " + strings.ReplaceAll(strings.Join(s.args, " "), d.dir+"/", ""), Want: s.want}
	step.Exit = Main(ctx, env, args)
	if step.Exit != s.want {
		step.Wrong = fmt.Sprintf("exit code %d instead of %d: %s", step.Exit, s.want, strings.TrimSpace(stderr.String()))
	} else if s.shows != nil {
		if err := s.shows(d, stdout.Bytes()); err != nil {
			step.Wrong = err.Error()
		}
	}
	d.Steps = append(d.Steps, step)
	d.narrate(step, stderr.String())
	if step.Wrong != "" {
		return fmt.Errorf("%s: %s", s.title, step.Wrong)
	}
	return nil
}

func (d *drill) narrate(s drillStep, stderr string) {
	if d.g.json() {
		return
	}
	_, _ = fmt.Fprintf(d.g.Stdout, "\n%s\n  $ %s\n  exit %d", s.Title, oneLine(s.Command), s.Exit)
	if s.Want == exitRefused {
		_, _ = fmt.Fprintf(d.g.Stdout, ": %s", oneLine(strings.TrimSpace(stderr)))
	}
	_, _ = fmt.Fprintln(d.g.Stdout)
}

// field reads one field of a JSON object.
func field(out []byte, name string, v any) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(out, &m); err != nil {
		return fmt.Errorf("the output is not a JSON object: %w", err)
	}
	if err := json.Unmarshal(m[name], v); err != nil {
		return fmt.Errorf("the output's %s is not what it should be: %w", name, err)
	}
	return nil
}

// says returns a check that a text field has the value.
func says(name, want string) func(*drill, []byte) error {
	return func(_ *drill, out []byte) error {
		var got string
		if err := field(out, name, &got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s is %.60q instead of %q", name, got, want)
		}
		return nil
	}
}

// serving returns a check that the serving path holds exactly these files.
func serving(want ...string) func(*drill, []byte) error {
	return func(d *drill, _ []byte) error {
		entries, err := os.ReadDir(d.path("models", "sentiment"))
		if err != nil {
			return err
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Errorf("the serving path holds %s instead of %s", artifact.Quote(strings.Join(got, " ")), strings.Join(want, " "))
		}
		return nil
	}
}

var isolated = serving(directory.MarkerName)
