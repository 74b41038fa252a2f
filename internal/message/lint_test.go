package message_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/message"
)

func TestLint(t *testing.T) {
	const good = "What we know.\nNot known: the cause.\nThe next update follows by 2026-11-05T14:00:00Z.\n"
	tests := []struct {
		name, subject, body string
		external            bool
		want                []string // rules
	}{
		{"good", "2026-11-05: x", good, false, nil},
		{"no_date", "x", good, false, []string{message.NoDate}},
		{"no_next_update", "2026-11-05: x", "The cause is unknown.", false, []string{message.NoNextUpdate}},
		{"next_update_without_a_time", "2026-11-05: x", "Unknown. The next update follows.", false, []string{message.NoNextUpdate}},
		{"no_unknowns", "2026-11-05: x", "The next update follows by 2026-11-05T14:00:00Z.", false, []string{message.NoUnknowns}},
		{"promise_in_words", "2026-11-05: x", good + "Service will be back within the hour.", false, []string{message.Promise}},
		{"promise_of_a_time", "2026-11-05: x", good + "It is fixed by 15:00.", false, []string{message.Promise}},
		{"promise_eta", "2026-11-05: x", good + "ETA: noon", false, []string{message.Promise}},
		{"announcing_an_update_is_no_promise", "2026-11-05: x", good + "UNKNOWN – will follow by 2026-11-05T14:00:00Z", false, nil},
		{"past_is_no_promise", "2026-11-05: x", good + "The service was restored at 2026-11-05T12:00:00Z.", false, nil},
		{"blame", "2026-11-05: x", good + "This was human error by the build team.", false, []string{message.Blame}},
		{"blame_by_name", "2026-11-05: x", good + "It is John's fault.", false, []string{message.Blame}},
		{"blame_of_a_mistake", "2026-11-05: x", good + "It was a mistake of the vendor.", false, []string{message.Blame}},
		{"blame_of_an_engineer", "2026-11-05: x", good + "It was caused by a junior engineer.", false, []string{message.Blame}},
		{"a_cause_is_no_blame", "2026-11-05: x", good + "It was caused by a stolen token; the registry's error log shows it.", false, nil},
		{"promise_online", "2026-11-05: x", good + "Back online within 2 hours.", false, []string{message.Promise}},
		{"empty_phrase", "2026-11-05: x", good + "We take the security of your data very seriously.", false, []string{message.EmptyPhrase}},
		{"path_inside", "2026-11-05: x", good + "Files in /models/sentiment/w changed.", false, nil},
		{"path_outside", "2026-11-05: x", good + "Files in /models/sentiment/w changed.", true, []string{message.Internal}},
		{"commander_outside", "2026-11-05: x", good + "Ask ana.", true, []string{message.Internal}},
		{"account_outside", "2026-11-05: x", good + "stated by eve@host7", true, []string{message.Internal}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inc := open()
			inc.Commander = "ana"
			r, err := message.Render(message.Template{Name: "x", Subject: tt.subject, Body: tt.body, External: tt.external}, inc, message.Input{Now: start})
			if err != nil {
				t.Fatal(err)
			}
			var rules []string
			for _, w := range message.Lint(r, inc) {
				rules = append(rules, w.Rule)
			}
			if diff := cmp.Diff(tt.want, rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBuiltInTemplatesAreClean: ours give no warning but for fields that only
// people can answer.
func TestBuiltInTemplatesAreClean(t *testing.T) {
	for name, tmpl := range message.Default() {
		inc := open()
		inc.Commander = "commander-in-chief"
		r, err := message.Render(tmpl, inc, message.Input{Now: start, Deadlines: []string{"Initial alert, due 2026-11-05T11:00:00Z"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range message.Lint(r, inc) {
			if w.Rule != message.OpenField {
				t.Errorf("%s: %s: %s (%s)", name, w.Rule, w.Text, w.Excerpt)
			}
		}
	}
}

func TestLintEta(t *testing.T) {
	inc := fact("eta", "noon")
	tmpl, err := message.Default().Get(message.StakeholderUpdate)
	if err != nil {
		t.Fatal(err)
	}
	r, err := message.Render(tmpl, inc, message.Input{Now: start})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(message.Lint(r, inc), func(w message.Warning) bool { return w.Rule == message.Promise && w.Excerpt == "noon" }) {
		t.Error("a stated eta is no promise")
	}
}

func TestNumbered(t *testing.T) {
	inc := &incident.Incident{}
	if n := message.Numbered(inc, "x"); n != 1 {
		t.Errorf("first number %d", n)
	}
	inc.Messages = []incident.RenderedMessage{{Message: incident.Message{Template: "x", Number: 1}, At: start}, {Message: incident.Message{Template: "y", Number: 7}, At: start.Add(time.Hour)}}
	if n := message.Numbered(inc, "x"); n != 2 {
		t.Errorf("second number %d", n)
	}
}

// FuzzLint: a message of any text is looked at, and what is shown of it holds
// no line break.
func FuzzLint(f *testing.F) {
	f.Add("2026-11-05: x", "We expect to be back soon.\nNext update by 2026-11-05T14:00:00Z")
	f.Fuzz(func(t *testing.T, subject, body string) {
		r := message.Rendered{Subject: subject, Body: body, External: true}
		for _, w := range message.Lint(r, open()) {
			if w.Rule == "" || w.Text == "" || strings.Count(w.Excerpt, "\n") > strings.Count(subject, "\n") {
				t.Errorf("warning %+v", w)
			}
		}
	})
}
