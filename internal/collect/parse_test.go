package collect

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddrPort(t *testing.T) {
	for in, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000000000000000000001000000:0016": "[::1]:22",
		"0000000000000000FFFF00000100007F:0050": "[::ffff:127.0.0.1]:80",
	} {
		if got, err := parseAddrPort(in); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", ":", "0100007F", "0100007F:", "0100007F:10000", "0100007F:-1", "01:50", "0100007G:50", "0100007F01:0050"} {
		if got, err := parseAddrPort(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

func TestMaskArgs(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"option_with_value", "serve --token abc --port 80", "serve --token *** --port 80"},
		{"option_without_value", "serve --auth --port 80", "serve --auth --port 80"},
		{"assignment", "env HF_TOKEN=abc A=b", "env HF_TOKEN=*** A=b"},
		{"option_assignment", "serve --api-key=abc", "serve --api-key=***"},
		{"url_password", "git clone https://me:pw@host/x", "git clone https://me:***@host/x"},
		{"query", "curl https://h/x?a=1&access_token=abc&b=2", "curl https://h/x?a=1&access_token=***&b=2"},
		{"known_prefix", "run hf_abcdefghijkl", "run hf_***"},
		{"tokenizer_stays", "serve --tokenizer /srv/t --max-tokens 512", "serve --tokenizer /srv/t --max-tokens 512"},
		{"key_files_stay", "sshd --config /etc/x", "sshd --config /etc/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, strings.Join(MaskArgs(strings.Fields(tt.in)), " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
	script := []string{"sh", "-c", `curl -H "Authorization: Bearer abcdefgh" --password hunter2 https://h`}
	if got := MaskArgs(script)[2]; strings.Contains(got, "abcdefgh") || strings.Contains(got, "hunter2") || !strings.Contains(got, "https://h") {
		t.Errorf("masked as %s", got)
	}
}

// FuzzSocket promises: an accepted line gives a socket with valid addresses
// (or none, for unix) and a named state, and it survives JSON unchanged.
func FuzzSocket(f *testing.F) {
	f.Add("tcp", "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 555 1 0")
	f.Add("udp6", "   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 1 2 3")
	f.Add("unix", "0000000000000000: 00000002 00000000 00010000 0001 01   556 @/tmp/a b")
	f.Fuzz(func(t *testing.T, protocol, line string) {
		s, err := parseSocket(protocol, line)
		if err != nil {
			return
		}
		if protocol != "unix" && (!s.Local.IsValid() || !s.Remote.IsValid() || s.UID < 0) || s.State == "" {
			t.Fatalf("%q was read as %+v", line, s)
		}
		data, err := json.Marshal(s)
		var back Socket
		if err != nil || json.Unmarshal(data, &back) != nil || back.Local != s.Local || back.Path != s.Path || back.Inode != s.Inode {
			t.Fatalf("%q became %s, %+v, %v", line, data, back, err)
		}
	})
}

// FuzzProcess promises: accepted stat lines have a one-letter state and no
// negative parent; a mapping's path is absolute; names of variables hold no
// value; and everything that is shown is printable.
func FuzzProcess(f *testing.F) {
	f.Add([]byte("7 (py) S (\n3) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 250 0 0\n"))
	f.Add([]byte("7f00-7f01 r--s 00000000 fe:00 12   /srv/a b (deleted)\n"))
	f.Add([]byte("PATH=/bin\x00HF_TOKEN=x\x00--token\x00v\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if st, err := parseStat(data); err == nil && (len(st.state) != 1 || st.ppid < 0) {
			t.Fatalf("%q was read as %+v", data, st)
		}
		if path, _, ok := parseMapping(string(data)); ok && !strings.HasPrefix(path, "/") {
			t.Fatalf("%q gave the path %q", data, path)
		}
		for _, name := range environNames(data) {
			if !isVariable(name) || strings.Contains(name, "=") {
				t.Fatalf("%q gave the variable %q", data, name)
			}
		}
		for _, arg := range MaskArgs(splitNUL(data)) {
			if !utf8.ValidString(arg) || strings.ContainsAny(arg, "\x1b\n\x00") {
				t.Fatalf("%q gave the argument %q", data, arg)
			}
		}
	})
}
