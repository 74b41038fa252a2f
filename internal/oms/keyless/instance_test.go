package keyless

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

const (
	signerName   = "releases@example.org"
	signerIssuer = "https://accounts.example.org"
)

// instance is a Sigstore instance on this host: certificate authority with
// certificate transparency, transparency log and time-stamping authority.
type instance struct {
	t                *testing.T
	log              *ca.VirtualSigstore
	root, middle     *x509.Certificate
	middleKey, ctKey *ecdsa.PrivateKey
	stamper          *root.SigstoreTimestampingAuthority
	stamperKey       *ecdsa.PrivateKey
	url              string
	issued           *x509.Certificate
	// What goes wrong.
	noSCT, otherKey, noProof bool
	status                   int
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	log, err := ca.NewVirtualSigstore()
	must(t, err)
	s := &instance{t: t, log: log}
	var rootKey, stamperMiddleKey *ecdsa.PrivateKey
	s.root, rootKey, err = ca.GenerateRootCa()
	must(t, err)
	s.middle, s.middleKey, err = ca.GenerateFulcioIntermediate(s.root, rootKey)
	must(t, err)
	s.ctKey, s.stamperKey = newKey(t), newKey(t)
	s.stamper = &root.SigstoreTimestampingAuthority{Root: s.root, URI: "https://tsa.example.org"}
	stamperMiddle, stamperMiddleKey, err := ca.GenerateTSAIntermediate(s.root, rootKey)
	must(t, err)
	s.stamper.Intermediates = []*x509.Certificate{stamperMiddle}
	s.stamper.Leaf, err = ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), s.stamperKey, stamperMiddle, stamperMiddleKey)
	must(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/signingCert", s.certify)
	mux.HandleFunc("POST /api/v1/log/entries", s.enter)
	mux.HandleFunc("POST /stamp", s.stamp)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func keyID(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	must(t, err)
	id := sha256.Sum256(der)
	return id[:]
}

// trustedRoot returns the instance's trusted root as a file holds it.
func (s *instance) trustedRoot() []byte {
	s.t.Helper()
	start, end := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	ctID := keyID(s.t, s.ctKey.Public())
	ctLogs := map[string]*root.TransparencyLog{hex.EncodeToString(ctID): {
		BaseURL: "https://ct.example.org", ID: ctID, ValidityPeriodStart: start, ValidityPeriodEnd: end,
		HashFunc: crypto.SHA256, PublicKey: s.ctKey.Public(), SignatureHashFunc: crypto.SHA256,
	}}
	logs := s.log.RekorLogs()
	for id, l := range logs {
		raw, err := hex.DecodeString(id)
		must(s.t, err)
		l.ID = raw
	}
	authority := &root.FulcioCertificateAuthority{
		Root: s.root, Intermediates: []*x509.Certificate{s.middle}, URI: "https://ca.example.org",
		ValidityPeriodStart: start, ValidityPeriodEnd: end,
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{authority}, ctLogs,
		[]root.TimestampingAuthority{s.stamper}, logs)
	must(s.t, err)
	data, err := made.MarshalJSON()
	must(s.t, err)
	return data
}

func (s *instance) read() *Root {
	s.t.Helper()
	r, err := ReadRoot(bytes.NewReader(s.trustedRoot()))
	must(s.t, err)
	return r
}

// config returns the instance's signing configuration as a file holds it.
func (s *instance) config(stamps bool) string {
	service := func(path string) string {
		return `[{"url":"` + s.url + path + `","majorApiVersion":1,"operator":"here","validFor":{"start":"2020-01-01T00:00:00Z"}}]`
	}
	tsa := `[]`
	if stamps {
		tsa = service("/stamp")
	}
	return `{"mediaType":"` + root.SigningConfigMediaType02 + `","caUrls":` + service("") + `,"rekorTlogUrls":` + service("") +
		`,"rekorTlogConfig":{"selector":"ANY"},"tsaUrls":` + tsa + `,"tsaConfig":{"selector":"ANY"}}`
}

// token returns an identity token. Nobody checks its signature here.
func token() string {
	claims := `{"iss":"` + signerIssuer + `","aud":"sigstore","sub":"1","email":"` + signerName + `","email_verified":true}`
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
}

// certify is the certificate authority.
func (s *instance) certify(w http.ResponseWriter, r *http.Request) {
	if s.status != 0 {
		http.Error(w, "no: "+r.Header.Get("Authorization"), s.status)
		return
	}
	var request struct {
		PublicKeyRequest struct {
			PublicKey struct {
				Content string `json:"content"`
			} `json:"publicKey"`
		} `json:"publicKeyRequest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(s.t, err)
	if s.otherKey {
		pub = newKey(s.t).Public()
	}
	s.issued = s.issue(pub, time.Now().Add(-time.Minute))
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.issued.Raw}))
	reply(w, http.StatusOK, map[string]any{"signedCertificateEmbeddedSct": map[string]any{
		"chain": map[string]any{"certificates": []string{cert}},
	}})
}

// issue makes a certificate with the certificate transparency log's promise
// in it, which is over the certificate without it.
func (s *instance) issue(pub crypto.PublicKey, from time.Time) *x509.Certificate {
	s.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), EmailAddresses: []string{signerName}, NotBefore: from, NotAfter: from.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(signerIssuer)}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.middle, pub, s.middleKey)
	must(s.t, err)
	cert, err := x509.ParseCertificate(der)
	must(s.t, err)
	if s.noSCT {
		return cert
	}
	list, err := asn1.Marshal(s.promise(cert, from))
	must(s.t, err)
	template.ExtraExtensions = append(template.ExtraExtensions,
		pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: list})
	der, err = x509.CreateCertificate(rand.Reader, template, s.middle, pub, s.middleKey)
	must(s.t, err)
	cert, err = x509.ParseCertificate(der)
	must(s.t, err)
	return cert
}

// promise returns a list of one signed certificate timestamp (RFC 6962, 3.2
// and 3.3).
func (s *instance) promise(cert *x509.Certificate, at time.Time) []byte {
	s.t.Helper()
	u16 := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	when := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	issuer := sha256.Sum256(s.middle.RawSubjectPublicKeyInfo)
	n := len(cert.RawTBSCertificate)
	signed := slices.Concat([]byte{0, 0}, when, []byte{0, 1}, issuer[:], []byte{byte(n >> 16), byte(n >> 8), byte(n)},
		cert.RawTBSCertificate, []byte{0, 0})
	digest := sha256.Sum256(signed)
	sig, err := ecdsa.SignASN1(rand.Reader, s.ctKey, digest[:])
	must(s.t, err)
	sct := slices.Concat([]byte{0}, keyID(s.t, s.ctKey.Public()), when, []byte{0, 0, 4, 3}, u16(sig))
	return u16(u16(sct))
}

// enter is the transparency log.
func (s *instance) enter(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Spec struct {
			ProposedContent struct {
				Envelope string `json:"envelope"`
			} `json:"proposedContent"`
		} `json:"spec"`
	}
	must(s.t, json.NewDecoder(r.Body).Decode(&request))
	var envelope dsse.Envelope
	must(s.t, json.Unmarshal([]byte(request.Spec.ProposedContent.Envelope), &envelope))
	sig, err := base64.StdEncoding.DecodeString(envelope.Signatures[0].Sig)
	must(s.t, err)
	entry, err := s.log.GenerateTlogEntry(s.issued, &envelope, sig, time.Now().Unix(), true)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e := entry.TransparencyLogEntry()
	proof := e.GetInclusionProof()
	root := hex.EncodeToString(proof.GetRootHash())
	if s.noProof {
		root = strings.Repeat("00", 32)
	}
	body := base64.StdEncoding.EncodeToString(e.GetCanonicalizedBody())
	promise, err := s.log.RekorSignPayload(tlog.RekorPayload{
		Body: body, IntegratedTime: e.GetIntegratedTime(), LogIndex: e.GetLogIndex(), LogID: hex.EncodeToString(e.GetLogId().GetKeyId()),
	})
	must(s.t, err)
	id := strings.Repeat("ab", 40)
	w.Header().Set("ETag", id)
	w.Header().Set("Location", "/api/v1/log/entries/"+id)
	reply(w, http.StatusCreated, map[string]any{id: map[string]any{
		"body": body, "integratedTime": e.GetIntegratedTime(),
		"logID": hex.EncodeToString(e.GetLogId().GetKeyId()), "logIndex": e.GetLogIndex(),
		"verification": map[string]any{
			"signedEntryTimestamp": promise,
			"inclusionProof": map[string]any{
				"checkpoint": proof.GetCheckpoint().GetEnvelope(), "hashes": []string{}, "logIndex": proof.GetLogIndex(),
				"rootHash": root, "treeSize": proof.GetTreeSize(),
			},
		},
	}})
}

// stamp is the time-stamping authority.
func (s *instance) stamp(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	must(s.t, err)
	request, err := timestamp.ParseRequest(body)
	must(s.t, err)
	response, err := s.stampOver(request.HashedMessage)
	must(s.t, err)
	_, _ = w.Write(response)
}

func (s *instance) stampOver(digest []byte) ([]byte, error) {
	stamp := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: digest, Time: time.Now(),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
	}
	return stamp.CreateResponseWithOpts(s.stamper.Leaf, s.stamperKey, crypto.SHA256)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
