package cli_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the database, to tamper with
)

type command = func(*testscript.TestScript, bool, []string)

// commands are what scripts can do beyond what testscript has.
func commands() map[string]command {
	return map[string]command{
		"story":     story,
		"exits":     exits,
		"plainly":   plainly,
		"json":      jsonIs,
		"jsonenv":   jsonEnv,
		"receiver":  receiver,
		"authority": authority,
		"waitfor":   waitFor,
		"database":  database,
		"flip":      flip,
		"cut":       cut,
		"repeat":    repeat,
		"fifo":      fifo,
		"tmpfs":     tmpfs,
		"terminate": terminate,
		"hangup":    hangup,
		"freeport":  freePort,
		"waitget":   waitGet,
		"silent":    silent,
		"clean":     clean,
		"brief":     brief,
	}
}

// exits CODE COMMAND ARG... runs a command and wants exactly that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	if got := exitOf(ts, ts.Exec(args[1], args[2:]...)); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d instead of %s", got, args[0])
	}
}

func exitOf(ts *testscript.TestScript, err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// json FILE PATH WANT compares one value of a JSON document: a string as it
// is, anything else as compact JSON. A path is keys and numbers with dots
// between them; "len" is a length, "." the document.
func jsonIs(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH WANT")
	}
	if got := jsonAt(ts, args[0], args[1]); (got == args[2]) == neg {
		ts.Fatalf("%s is %s", args[1], got)
	}
}

// jsonenv NAME FILE PATH keeps a value in an environment variable.
func jsonEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: jsonenv NAME FILE PATH")
	}
	ts.Setenv(args[0], jsonAt(ts, args[1], args[2]))
}

func jsonAt(ts *testscript.TestScript, file, path string) string {
	var v any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	if err := dec.Decode(&v); err != nil {
		ts.Fatalf("%s is no JSON document: %v", file, err)
	}
	if dec.More() {
		ts.Fatalf("%s is more than one JSON document", file)
	}
	for key := range strings.SplitSeq(strings.Trim(path, "."), ".") {
		if key == "" {
			continue
		}
		next, err := step(v, key)
		if err != nil {
			ts.Fatalf("%s: %v", path, err)
		}
		v = next
	}
	if s, ok := v.(string); ok {
		return s
	}
	data, err := json.Marshal(v)
	ts.Check(err)
	return string(data)
}

func step(v any, key string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if key == "len" {
			return len(v), nil
		}
		if next, ok := v[key]; ok {
			return next, nil
		}
	case []any:
		if key == "len" {
			return len(v), nil
		}
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v) {
			return v[i], nil
		}
	}
	return nil, fmt.Errorf("there is no %s in %.200v", key, v)
}

// receiver NAME FILE [STATUS] starts a server, puts its URL into NAME and
// appends the body of every request to FILE.
func receiver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: receiver NAME FILE [STATUS]")
	}
	status := http.StatusOK
	if len(args) == 3 {
		var err error
		status, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	path := ts.MkAbs(args[1])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, _ = fmt.Fprintf(f, "%s\n", body)
			_ = f.Close()
		}
		w.WriteHeader(status)
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// waitfor FILE PATTERN waits until the file matches, ten seconds at most.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE PATTERN")
	}
	pattern, path := regexp.MustCompile(args[1]), ts.MkAbs(args[0])
	var data []byte
	for range 500 {
		data, _ = os.ReadFile(path)
		if pattern.Match(data) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not match %s after 10 s:\n%s", args[0], args[1], data)
}

// terminate sends SIGTERM to what runs in the background, as a service manager
// would.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: terminate")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// hangup sends SIGHUP to what runs in the background.
func hangup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hangup")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	}
}

// freeport NAME puts an address of this machine that nobody listens at into NAME.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// waitget URL PATTERN gets a page until status and text match, ten seconds at
// most.
func waitGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitget URL PATTERN")
	}
	pattern, last := regexp.MustCompile(args[1]), ""
	for range 200 {
		resp, err := http.Get(args[0])
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if last = fmt.Sprintf("%d %s", resp.StatusCode, body); pattern.MatchString(last) {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s does not match %s after 10 s:\n%s", args[0], args[1], last)
}

// database SQL runs a statement in the state directory's database.
func database(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: database SQL")
	}
	db, err := sql.Open("sqlite", filepath.Join(ts.Getenv("WEIGHTWARDEN_STATE"), "weightwarden.db"))
	ts.Check(err)
	result, err := db.Exec(args[0])
	ts.Check(errors.Join(err, db.Close()))
	if n, err := result.RowsAffected(); err == nil && n == 0 && strings.HasPrefix(args[0], "UPDATE") {
		ts.Fatalf("no row was touched")
	}
}

// flip FILE OFFSET inverts one byte; a negative offset counts from the end.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 0xff
	ts.Check(os.Chmod(path, 0o600))
	ts.Check(os.WriteFile(path, data, 0o600))
}

// cut FILE SIZE shortens a file, whatever its mode.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Chmod(ts.MkAbs(args[0]), 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// repeat NAME TEXT COUNT puts a long text into an environment variable.
func repeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat NAME TEXT COUNT")
	}
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	ts.Setenv(args[0], strings.Repeat(text, count))
}

// silent FILE wants a file without control characters but line feeds, which
// is what a terminal may be shown.
func silent(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		text := ts.ReadFile(file)
		at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') })
		if (at < 0) == neg {
			ts.Fatalf("%s: control character at %d: %q", file, at, text)
		}
	}
}

// clean wants stderr to be one error, lower case and without a full stop, and
// a hint on the second line where "hint" is given.
func clean(ts *testscript.TestScript, neg bool, args []string) {
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n")
	text, ok := strings.CutPrefix(lines[0], "weightwarden: ")
	if neg || !ok || text == "" || strings.HasSuffix(text, ".") || text[0] >= 'A' && text[0] <= 'Z' {
		ts.Fatalf("not an error as the house has it: %q", lines[0])
	}
	if len(args) == 1 && args[0] == "hint" && (len(lines) != 2 || !strings.HasPrefix(lines[1], "hint: ")) {
		ts.Fatalf("no hint on the second line: %q", lines)
	}
}

// brief wants stdout and stderr together to be no longer than a screen.
func brief(ts *testscript.TestScript, neg bool, _ []string) {
	if n := len(ts.ReadFile("stdout")) + len(ts.ReadFile("stderr")); (n > 1000) != neg {
		ts.Fatalf("an answer of %d bytes", n)
	}
}
