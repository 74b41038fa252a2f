package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// authority NAME DIR starts a time stamping authority, which is OpenSSL with
// the configuration tsa.cnf, the certificate tsa.pem and the key tsa.key of a
// directory, and puts its address into the environment variable NAME.
func authority(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: authority NAME DIR")
	}
	dir := ts.MkAbs(args[1])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := stampWith(dir, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(reply)
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

func stampWith(dir string, query io.Reader) ([]byte, error) {
	data, err := io.ReadAll(query)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "query"), data, 0o600); err != nil {
		return nil, err
	}
	c := exec.Command("openssl", "ts", "-reply", "-config", "tsa.cnf", "-section", "t", "-queryfile", "query",
		"-signer", "tsa.pem", "-inkey", "tsa.key", "-out", "reply")
	c.Dir = dir
	if err := c.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "reply"))
}
