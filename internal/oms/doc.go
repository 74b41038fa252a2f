// Package oms signs and verifies models: OpenSSF Model Signing 1.0 and its
// predecessors back to v0.2.0, with a key or a certificate chain, and the
// published guide's form, a manifest file with a cosign blob signature.
//
// It answers "did somebody we trust sign exactly these files", and names what
// no signature covers. It does not know whose keys are good (the caller's
// [Trust] does), what the files contain, or how keyless signatures are
// checked: a verifier for those is handed in as [Trust.Keyless].
//
// # The guide's form
//
// `.signatures/manifest.json` lists the files, and `.signatures/manifest.sig`
// (or `.signatures/manifest.json.sig`, when the other does not exist) is a
// cosign blob signature over it: an ASN.1 ECDSA signature over the SHA-256 of
// the manifest's bytes, in base64 or raw; for P-384 and P-521 keys also over
// the hash that matches the curve, as newer cosign makes it. Both the
// signature and every file are checked. The manifest is one of
//
//	{"files": {"path": "sha256", …}, …}
//	{"files": [{"path": "path", "sha256": "sha256", …}, …], …}
//	{"path": "sha256", …}
//	lines of sha256sum, text or binary mode, with its `\` escapes
//
// Other keys beside "files" are allowed and mean nothing. Everything else is
// refused: a path given twice, a path that is not in its one spelling
// ([artifact.CheckPath]), a digest that is not SHA-256.
//
// Every file of the model has to be listed, those under `.signatures/`
// included. The only exceptions are the manifest and the signature that was
// checked, by their exact paths: the directory is no place to hide a file in.
package oms
