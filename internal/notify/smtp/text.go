package smtp

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/finding"
	"github.com/weightwarden/weightwarden/internal/notify"
)

// text writes the mail. Its Message-ID follows from the alert's key, so that a
// repeated try is the same mail; mails of one group are one thread.
func (s *sender) text(a notify.Alert) []byte {
	var b bytes.Buffer
	head := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	head("From", address(s.conf.From))
	to := make([]string, 0, len(s.conf.To))
	for _, t := range s.conf.To {
		to = append(to, address(t))
	}
	head("To", strings.Join(to, ", "))
	head("Subject", mime.QEncoding.Encode("utf-8", notify.Cut(notify.Plain(a.Line()), 200)))
	head("Date", a.At.Format(time.RFC1123Z))
	head("Message-ID", messageID(a.Key))
	head("References", messageID("group/"+a.Group))
	head("Auto-Submitted", "auto-generated")
	if a.Severity >= finding.High && a.Status != notify.Resolved {
		head("Importance", "high")
	}
	head("X-Weightwarden-Status", string(a.Status))
	head("X-Weightwarden-Severity", a.Severity.String())
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(strings.ReplaceAll(a.Text, "\n", "\r\n") + "\r\n\r\n-- \r\nweightwarden " + notify.Plain(a.Host) + "\r\n"))
	_ = q.Close()
	return b.Bytes()
}

// messageID makes an identifier that holds nothing of what it is made from.
func messageID(of string) string {
	return "<" + artifact.SHA256Of([]byte(of)).Hex()[:40] + "@weightwarden.invalid>"
}

func address(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return "<invalid>"
	}
	return a.String()
}
