package oms

import (
	"encoding/base64"
	"fmt"
)

const (
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType = "application/vnd.in-toto+json"
)

// bundle is a Sigstore bundle with a DSSE envelope. One of hint and rawKey,
// chain and leaf is set according to method; a key bundle may have neither
// hint nor key.
type bundle struct {
	method      string
	hint        string
	rawKey      []byte   // PEM, as releases up to v1.0.1 wrote it
	chain       [][]byte // DER, leaf first
	payloadType string
	payload     []byte
	signature   []byte
	stamps      [][]byte // RFC 3161 responses over the signature
}

// parseBundle reads a bundle. It accepts one of the shapes that some release
// of the reference implementation wrote, with exactly one signature, and no
// field that the Sigstore schema does not have: what is not understood might
// change what is signed.
func parseBundle(data []byte, lim Limits) (*bundle, error) {
	r, err := newReader(data, lim.Depth)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	r.fold = true
	p := bundleParser{reader: r, lim: lim}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	return &p.out, nil
}

type bundleParser struct {
	*reader
	lim        Limits
	out        bundle
	mediaType  string
	signatures int
	materials  int
}

func (p *bundleParser) parse() error {
	err := p.object(func(key string) error {
		switch key {
		case "mediaType":
			return p.into(&p.mediaType)
		case "verificationMaterial":
			return p.object(p.material)
		case "dsseEnvelope":
			return p.object(p.envelope)
		default:
			return errUnknownField
		}
	})
	if err != nil {
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	return p.check()
}

var errUnknownField = fmt.Errorf("unknown field: %w", ErrRefused)

func (p *bundleParser) check() error {
	switch {
	case p.mediaType != bundleType:
		return fmt.Errorf("media type %.80q: %w", p.mediaType, ErrRefused)
	case p.materials != 1:
		return fmt.Errorf("verification material of %d methods, want one: %w", p.materials, ErrRefused)
	case p.out.payloadType != payloadType:
		return fmt.Errorf("payload type %.80q: %w", p.out.payloadType, ErrRefused)
	case p.signatures != 1:
		return fmt.Errorf("%d signatures, want exactly one: %w", p.signatures, ErrRefused)
	case len(p.out.payload) == 0:
		return fmt.Errorf("no payload: %w", ErrMalformed)
	case len(p.out.signature) == 0:
		return fmt.Errorf("the signature is empty: %w", ErrMalformed)
	}
	return nil
}

func (p *bundleParser) material(key string) error {
	switch key {
	case "publicKey":
		p.materials++
		p.out.method = MethodKey
		return p.object(p.publicKey)
	case "x509CertificateChain":
		p.materials++
		p.out.method = MethodCertificate
		return p.object(p.certificates)
	case "certificate":
		p.materials++
		p.out.method = MethodSigstore
		return p.skip()
	case "tlogEntries":
		return p.skip() // what a keyless verifier reads, from the bytes
	case "timestampVerificationData":
		return p.optional('{', func() error { return p.fields(p.timestamps) })
	default:
		return errUnknownField
	}
}

func (p *bundleParser) publicKey(key string) error {
	switch key {
	case "hint":
		return p.into(&p.out.hint)
	case "rawBytes":
		return p.bytes(&p.out.rawKey)
	case "keyDetails", "validFor":
		return p.skip()
	default:
		return errUnknownField
	}
}

func (p *bundleParser) certificates(key string) error {
	if key != "certificates" {
		return errUnknownField
	}
	return p.array(p.lim.Certificates, func() error {
		return p.object(func(key string) error {
			if key != "rawBytes" {
				return errUnknownField
			}
			var der []byte
			err := p.bytes(&der)
			p.out.chain = append(p.out.chain, der)
			return err
		})
	})
}

// maxStamps is how many time stamps a bundle may have.
const maxStamps = 32

func (p *bundleParser) timestamps(key string) error {
	if key != "rfc3161Timestamps" {
		return errUnknownField
	}
	return p.optional('[', func() error {
		return p.items(maxStamps, func() error { return p.object(p.timestamp) })
	})
}

func (p *bundleParser) timestamp(key string) error {
	if key != "signedTimestamp" {
		return errUnknownField
	}
	var stamp []byte
	err := p.bytes(&stamp)
	p.out.stamps = append(p.out.stamps, stamp)
	return err
}

func (p *bundleParser) envelope(key string) error {
	switch key {
	case "payload":
		return p.bytes(&p.out.payload)
	case "payloadType":
		return p.into(&p.out.payloadType)
	case "signatures":
		return p.array(p.lim.Resources, func() error {
			p.signatures++
			return p.object(p.oneSignature)
		})
	default:
		return errUnknownField
	}
}

func (p *bundleParser) oneSignature(key string) error {
	switch key {
	case "sig":
		return p.bytes(&p.out.signature)
	case "keyid":
		return p.skip() // absent, null or empty in practice, never used
	default:
		return errUnknownField
	}
}

// bytes reads a base64 string into out.
func (p *bundleParser) bytes(out *[]byte) error {
	s, err := p.str()
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return fmt.Errorf("not base64: %w", ErrMalformed)
	}
	*out = data
	return nil
}
