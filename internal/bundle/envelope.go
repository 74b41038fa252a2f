package bundle

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/weightwarden/weightwarden/internal/fault"
)

// ageIntro is how a file in the age format begins.
const ageIntro = "age-encryption.org/v1\n"

// Encrypt returns a writer that encrypts to recipients in the age format.
// Each is a native recipient ("age1…"). Closing it completes the file.
func Encrypt(w io.Writer, recipients ...string) (io.WriteCloser, error) {
	var to []age.Recipient
	for _, text := range recipients {
		found, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(found) != 1 {
			return nil, fault.New(fault.Invalid, "recipient %.100q is no age recipient", text).
				WithHint("a recipient begins with age1; make a pair with age-keygen")
		}
		to = append(to, found...)
	}
	out, err := age.Encrypt(w, to...)
	if err != nil {
		return nil, fault.New(fault.Invalid, "encrypt bundle: %w", err)
	}
	return out, nil
}

// IsEncrypted reports whether r begins as a file in the age format.
func IsEncrypted(r io.ReaderAt) bool {
	head := make([]byte, len(ageIntro))
	n, err := r.ReadAt(head, 0)
	return (err == nil || errors.Is(err, io.EOF)) && string(head[:n]) == ageIntro
}

// Decrypt returns the content of an encrypted bundle. It is decrypted as it is
// read; nothing is kept on disk. identities is the content of a file of
// age-keygen. That no identity fits is Untrusted, that the file is damaged
// Incomplete.
func Decrypt(r io.ReaderAt, size int64, identities io.Reader) (io.ReaderAt, int64, error) {
	ids, err := age.ParseIdentities(io.LimitReader(identities, maxSeal))
	if err != nil {
		return nil, 0, fault.New(fault.Invalid, "read identities: %w", err)
	}
	content, n, err := age.DecryptReaderAt(r, size, ids...)
	var mismatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &mismatch):
		return nil, 0, fault.New(fault.Untrusted, "the bundle is not encrypted to any of these identities")
	case err != nil:
		return nil, 0, fmt.Errorf("decrypt bundle: %w", err)
	}
	return content, n, nil
}
