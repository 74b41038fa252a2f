package approval

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
)

// Statement is what is signed: that one person, in one role, lets one plan of
// one incident be carried out, as the record stood at one position, until some
// time.
type Statement struct {
	Incident string
	// Plan is the hash of the plan; Action says what it does.
	Plan   artifact.Digest
	Action string
	Role   Role
	By     string
	Issued time.Time
	// Expires is the first moment at which it does not hold any more.
	Expires time.Time
	// Position and Root are the number of entries of the incident's log and
	// the root of their tree when it was signed. In another log, or another
	// copy of this one, the root is another.
	Position uint64
	Root     artifact.Digest
}

// header begins every statement, and names its form.
const header = "weightwarden approval v1"

// maxStatement bounds what is read as a statement with its signature, in bytes.
const maxStatement = 8 << 10

// Text returns the one form in which the statement is signed.
func (s Statement) Text() string {
	return strings.Join([]string{
		header, "incident: " + s.Incident, "plan: " + s.Plan.String(), "action: " + s.Action, "role: " + string(s.Role), "by: " + s.By,
		"issued: " + stamp(s.Issued), "expires: " + stamp(s.Expires),
		"position: " + strconv.FormatUint(s.Position, 10), "root: " + s.Root.String(), "",
	}, "\n")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ParseStatement reads the form that [Statement.Text] writes, and no other.
func ParseStatement(text string) (Statement, error) {
	var s Statement
	lines := strings.Split(text, "\n")
	names := []string{"incident", "plan", "action", "role", "by", "issued", "expires", "position", "root"}
	if len(text) > maxStatement || len(lines) != len(names)+2 || lines[0] != header {
		return s, fmt.Errorf("read approval: not of the form %q", header)
	}
	values := map[string]string{}
	for n, name := range names {
		value, ok := strings.CutPrefix(lines[n+1], name+": ")
		if !ok {
			return s, fmt.Errorf("read approval: line %d is not %q", n+2, name)
		}
		values[name] = value
	}
	if err := s.fill(values); err != nil {
		return s, err
	}
	if s.Text() != text {
		return s, fmt.Errorf("read approval: not in the form in which approvals are written")
	}
	return s, nil
}

func (s *Statement) fill(values map[string]string) (err error) {
	s.Incident, s.Action, s.Role, s.By = values["incident"], values["action"], Role(values["role"]), values["by"]
	if !slices.Contains(Roles(), s.Role) {
		return fmt.Errorf("read approval: no role %.40q", s.Role)
	}
	for name, to := range map[string]*artifact.Digest{"plan": &s.Plan, "root": &s.Root} {
		if *to, err = artifact.ParseDigest(values[name]); err != nil {
			return fmt.Errorf("read approval: %s: %w", name, err)
		}
	}
	for name, to := range map[string]*time.Time{"issued": &s.Issued, "expires": &s.Expires} {
		if *to, err = time.Parse(time.RFC3339, values[name]); err != nil {
			return fmt.Errorf("read approval: %s %.60q is no time", name, values[name])
		}
	}
	if s.Position, err = strconv.ParseUint(values["position"], 10, 63); err != nil {
		return fmt.Errorf("read approval: position %.40q is no number", values["position"])
	}
	return nil
}

// Signed is a statement with its signature.
type Signed struct {
	Statement
	// Signature is an armored SSH signature over the statement's text.
	Signature string
}

// Sign signs a statement.
func Sign(s Statement, key ed25519.PrivateKey) Signed {
	return Signed{s, sign(key, []byte(s.Text()))}
}

// Key returns the key that signed it. The error wraps [ErrForged] where the
// signature is not one over this statement.
func (s Signed) Key() (Key, error) { return verify(s.Signature, []byte(s.Text())) }

// String returns the statement and its signature as one text, which can be
// carried by mail.
func (s Signed) String() string { return s.Text() + s.Signature }

// Parse reads what [Signed.String] writes, or a statement with the output of
// ssh-keygen -Y sign behind it.
func Parse(text string) (Signed, error) {
	at := strings.Index(text, beginSig)
	if at < 0 {
		return Signed{}, fmt.Errorf("read approval: no signature behind the statement")
	}
	s, err := ParseStatement(text[:at])
	if err != nil {
		return Signed{}, err
	}
	signature := strings.TrimSpace(text[at:]) + "\n"
	if _, err := dearmor(signature); err != nil {
		return Signed{}, err
	}
	return Signed{s, signature}, nil
}
