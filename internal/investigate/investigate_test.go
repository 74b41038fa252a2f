package investigate_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/incident"
	"github.com/weightwarden/weightwarden/internal/investigate"
	"github.com/weightwarden/weightwarden/internal/oms"
)

// tree makes a directory; content that begins with "->" is a link, "fifo" a
// pipe.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(target, path)
		} else if content == "fifo" {
			err = syscall.Mkfifo(path, 0o600)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func look(t *testing.T, s investigate.Suspect) *investigate.Result {
	t.Helper()
	s.ID = "m"
	r, err := investigate.Model(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func brief(r *investigate.Result) (out []string) {
	for _, f := range r.Findings {
		out = append(out, strings.TrimSpace(f.Rule+" "+f.Verdict.String()+" "+f.File))
	}
	return out
}

func TestContents(t *testing.T) {
	tests := []struct {
		name, file, content string
		want                []string
	}{
		{"weights", "a.safetensors", "\x02\x00\x00\x00\x00\x00\x00\x00{}", nil},
		{"text", "README.md", "hello", nil},
		{"unknown", "a.bin", "\x00\x01", nil},
		{"pickle", "a.bin", "\x80\x04\x95", []string{"WW-FILE-001 suspicious a.bin"}},
		{"pickle_in_other_clothes", "a.safetensors", "cos\nsystem\n(S'id'\ntR.", []string{"WW-FILE-001 suspicious a.safetensors", "WW-FILE-004 suspicious a.safetensors"}},
		{"torch", "a.pt", "PK\x03\x04archive/data.pkl", []string{"WW-FILE-001 suspicious a.pt"}},
		{"library", "lib/a.so", "\x7fELF\x02", []string{"WW-FILE-002 suspicious lib/a.so"}},
		{"library_named_text", "a.txt", "\x7fELF\x02", []string{"WW-FILE-002 suspicious a.txt", "WW-FILE-004 suspicious a.txt"}},
		{"code", "modeling.py", "import os", []string{"WW-FILE-003 suspicious modeling.py"}},
		{"script", "run", "#!/bin/sh", []string{"WW-FILE-003 suspicious run"}},
		{"path_file", "x.pth", "import os", []string{"WW-FILE-003 suspicious x.pth", "WW-FILE-004 suspicious x.pth"}},
		{"checkpoint", "x.pth", "\x80\x02}q\x00.", []string{"WW-FILE-001 suspicious x.pth"}},
		{"nothing_known_named_weights", "a.safetensors", "\x00\x01\x02", []string{"WW-FILE-004 suspicious a.safetensors"}},
		{"binary_named_json", "a.json", "\x00\x01", []string{"WW-FILE-004 suspicious a.json"}},
		{"empty_json", "a.json", "", nil},
		{"pipe", "pipe", "fifo", []string{"WW-FILE-005 suspicious pipe", "WW-FILE-000 error pipe"}},
		{"link_out", "link", "->/etc/passwd", []string{"WW-FILE-000 error link"}},
		{"escape_in_the_name", "\x1b[2J.py", "x", []string{"WW-FILE-003 suspicious \x1b[2J.py"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := look(t, investigate.Suspect{Path: tree(t, map[string]string{tt.file: tt.content})})
			got := brief(r)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, f := range r.Findings {
				if strings.ContainsRune(f.Summary, 0x1b) || f.Summary == "" {
					t.Errorf("summary %q", f.Summary)
				}
			}
		})
	}
}

func TestCompare(t *testing.T) {
	suspect := tree(t, map[string]string{"same": "1", "changed": "2", "new": "3"})
	reference := tree(t, map[string]string{"same": "1", "changed": "1", "gone": "4"})
	r := look(t, investigate.Suspect{Path: suspect, Reference: reference})
	want := &incident.Comparison{
		OnlyInCompromised: []string{"new"}, OnlyInReference: []string{"gone"}, Modified: []string{"changed"}, Identical: []string{"same"},
	}
	if diff := cmp.Diff(want, r.Inquiry.Comparison); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"WW-COMPARE-001 malicious changed", "WW-COMPARE-001 malicious gone", "WW-COMPARE-001 malicious new"}, brief(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if same := look(t, investigate.Suspect{Path: suspect, Reference: suspect}); len(same.Findings) != 0 || len(same.Inquiry.Comparison.Identical) != 3 {
		t.Errorf("compared with itself: %v", brief(same))
	}
	if _, err := investigate.Model(t.Context(), investigate.Suspect{Path: suspect, Reference: reference + "/gone/far"}); err == nil {
		t.Error("a reference that is not there")
	}
}

func TestSignature(t *testing.T) {
	tests := []struct {
		name string
		sig  *oms.Result
		want []string
	}{
		{"not_asked", nil, nil},
		{"verified", &oms.Result{Verdict: oms.Verified, Method: oms.MethodKey}, nil},
		{"unsigned", &oms.Result{Verdict: oms.Untrusted}, []string{"WW-SIGN-001 suspicious"}},
		{"signature_unreadable", &oms.Result{Verdict: oms.Error, Reasons: []string{"no permission"}}, []string{"WW-FILE-000 error signature"}},
		{"untrusted", &oms.Result{Verdict: oms.Untrusted, Method: oms.MethodKey}, []string{"WW-SIGN-002 suspicious"}},
		{"tampered", &oms.Result{Verdict: oms.Tampered, Method: oms.MethodKey, Mismatches: []oms.Mismatch{{File: "a", Kind: oms.KindModified}}}, []string{
			"WW-SIGN-002 suspicious", "WW-SIGN-002 malicious a",
		}},
		{"untrusted_and_different", &oms.Result{Verdict: oms.Untrusted, Method: oms.MethodKey, Mismatches: []oms.Mismatch{{File: "a", Kind: oms.KindModified}}}, []string{
			"WW-SIGN-002 suspicious", "WW-SIGN-002 suspicious a",
		}},
		{"uncovered", &oms.Result{Verdict: oms.Verified, Method: oms.MethodKey, Uncovered: []string{"b"}}, []string{"WW-SIGN-003 suspicious b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := look(t, investigate.Suspect{Path: tree(t, map[string]string{"a": "1"}), Signature: tt.sig})
			got := brief(r)
			if diff := cmp.Diff(len(tt.want), len(got)); diff != "" {
				t.Fatalf("found %v", got)
			}
			for _, w := range tt.want {
				if !strings.Contains(strings.Join(got, "\n")+"\n", w+"\n") {
					t.Errorf("found %v, want %s", got, w)
				}
			}
		})
	}
}

func TestUnreadableReferenceProvesNothing(t *testing.T) {
	reference := tree(t, map[string]string{"a": "1", "link": "->/etc/passwd"})
	r := look(t, investigate.Suspect{Path: tree(t, map[string]string{"a": "1"}), Reference: reference})
	if len(r.Inquiry.Unread) != 1 || !strings.HasPrefix(r.Inquiry.Unread[0], "reference/link") {
		t.Errorf("unread %v", r.Inquiry.Unread)
	}
	if !cmp.Equal(r.Inquiry.Comparison.Identical, []string{"a"}) {
		t.Errorf("comparison %+v", r.Inquiry.Comparison)
	}
}

func TestSingleFileBehindALink(t *testing.T) {
	dir := tree(t, map[string]string{"real.bin": "\x80\x04\x95"})
	link := filepath.Join(t.TempDir(), "current.bin")
	if err := os.Symlink(filepath.Join(dir, "real.bin"), link); err != nil {
		t.Fatal(err)
	}
	r := look(t, investigate.Suspect{Path: link})
	if diff := cmp.Diff([]string{"WW-FILE-001 suspicious current.bin"}, brief(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMissingSuspect(t *testing.T) {
	if r, err := investigate.Model(t.Context(), investigate.Suspect{Path: t.TempDir() + "/gone"}); err == nil {
		t.Errorf("looked into nothing: %+v", r)
	}
}
