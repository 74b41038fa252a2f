package trust_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/evidence"
	"github.com/weightwarden/weightwarden/internal/fault"
	"github.com/weightwarden/weightwarden/internal/trust"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func day(n int) time.Time { return start.AddDate(0, 0, n) }

// told is one entry: what and on which day.
type told struct {
	kind string
	body any
	day  int
}

func log(t *testing.T, story ...told) []evidence.Entry {
	t.Helper()
	var entries []evidence.Entry
	var prev artifact.Digest
	for i, s := range story {
		e, err := evidence.Seal(trust.Log, uint64(i)+1, prev, evidence.Draft{Time: day(s.day), Actor: "ana@host", Kind: s.kind, Body: s.body})
		if err != nil {
			t.Fatal(err)
		}
		entries, prev = append(entries, e), e.Hash()
	}
	return entries
}

func fold(t *testing.T, story ...told) *trust.State {
	t.Helper()
	s, err := trust.Fold(log(t, story...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digest(s string) artifact.Digest { return artifact.SHA256Of([]byte(s)) }

func TestFoldRefuses(t *testing.T) {
	tests := []struct {
		name string
		kind string
		body any
	}{
		{"unknown_kind", "denied_by_country", map[string]string{}},
		{"body_of_another_form", trust.KindDenied, []string{"a"}},
		{"baseline_that_is_text", trust.KindBaseline, "first_use"},
		{"digest_that_is_none", trust.KindVouched, map[string]string{"root_digest": "abc", "how": "signed"}},
		{"unknown_subject", trust.KindDenied, trust.Denial{Subject: "certificate", Value: "ab"}},
		{"denial_without_a_value", trust.KindDenied, trust.Denial{Subject: trust.Root}},
		{"unknown_subject_lifted", trust.KindAllowed, trust.Lifted{Subject: "certificate", Value: "ab"}},
		{"unknown_way_to_vouch", trust.KindVouched, trust.Vouch{Root: digest("a"), How: "rumoured"}},
		{"no_way_to_vouch", trust.KindVouched, trust.Vouch{Root: digest("a")}},
		{"unknown_voucher", trust.KindBaseline, trust.BaselineSet{Model: "m", Voucher: "oracle"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good := told{trust.KindDenied, trust.Denial{Subject: trust.Root, Value: "ab"}, 0}
			s, err := trust.Fold(log(t, good, told{tt.kind, tt.body, 1}))
			if s != nil || fault.KindOf(err) != fault.Incomplete || fault.HintOf(err) == "" {
				t.Errorf("got %v, %v (%v)", s, err, fault.KindOf(err))
			}
		})
	}
}

func TestBaseline(t *testing.T) {
	set := func(voucher trust.Voucher, doc string) trust.BaselineSet {
		return trust.BaselineSet{Model: "m", Path: "/m", Document: digest(doc), Root: digest("r"), Voucher: voucher, Who: "w", Reason: "y"}
	}
	s := fold(t,
		told{trust.KindBaseline, set(trust.FirstUse, "1"), 0},
		told{trust.KindBaseline, set(trust.BySignature, "2"), 1},
		told{trust.KindBaseline, trust.BaselineSet{Model: "other", Voucher: trust.ByPerson}, 2},
	)
	got, ok := s.Baseline("m")
	want := trust.At[trust.BaselineSet]{Body: set(trust.BySignature, "2"), Time: day(1), By: "ana@host"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(artifact.Digest{})); diff != "" || !ok {
		t.Errorf("baseline (-want +got):\n%s", diff)
	}
	if len(s.Baselines["m"]) != 2 || s.Baselines["m"][0].Body.Trusted() || !got.Body.Trusted() {
		t.Errorf("history is %v", s.Baselines["m"])
	}
	if other, _ := s.Baseline("other"); !other.Body.Trusted() {
		t.Error("a person's baseline is not trusted")
	}
	if _, ok := s.Baseline("nobody"); ok {
		t.Error("a model without a baseline has one")
	}
}

func TestDeny(t *testing.T) {
	root, file := digest("root"), digest("file")
	deny := func(subject trust.Subject, value string) told {
		return told{trust.KindDenied, trust.Denial{Subject: subject, Value: value, Reason: "bad"}, 1}
	}
	lift := func(subject trust.Subject, value string) told {
		return told{trust.KindAllowed, trust.Lifted{Subject: subject, Value: value}, 2}
	}
	files := []artifact.File{{Path: "a", Digest: digest("a")}, {Path: "link", Kind: artifact.Symlink}, {Path: "b", Digest: file}}
	tests := []struct {
		name  string
		story []told
		root  artifact.Digest
		want  trust.Subject // "" where nothing is denied
	}{
		{"nothing", nil, root, ""},
		{"root", []told{deny(trust.Root, root.String())}, root, trust.Root},
		{"file", []told{deny(trust.File, file.String())}, root, trust.File},
		{"file_of_a_model_without_root", []told{deny(trust.File, file.String())}, artifact.Digest{}, trust.File},
		{"root_on_the_list_of_files", []told{deny(trust.File, root.String())}, root, ""},
		{"key_with_the_same_value", []told{deny(trust.Key, root.String())}, root, ""},
		{"another_root", []told{deny(trust.Root, file.String())}, root, ""},
		{"lifted", []told{deny(trust.Root, root.String()), lift(trust.Root, root.String())}, root, ""},
		{"lifted_for_another_subject", []told{deny(trust.Root, root.String()), lift(trust.File, root.String())}, root, trust.Root},
		{"denied_again", []told{deny(trust.Root, root.String()), lift(trust.Root, root.String()), deny(trust.Root, root.String())}, root, trust.Root},
		{"lifted_before", []told{lift(trust.Root, root.String()), deny(trust.Root, root.String())}, root, trust.Root},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := fold(t, tt.story...).DeniedAmong(tt.root, files)
			if ok != (tt.want != "") || d.Body.Subject != tt.want {
				t.Errorf("denied: %v, %q; want %q", ok, d.Body.Subject, tt.want)
			}
		})
	}
}

func TestDenialsAreOldestFirst(t *testing.T) {
	s := fold(t,
		told{trust.KindDenied, trust.Denial{Subject: trust.Root, Value: "b"}, 2},
		told{trust.KindDenied, trust.Denial{Subject: trust.Key, Value: "c"}, 1},
		told{trust.KindDenied, trust.Denial{Subject: trust.File, Value: "z"}, 2},
		told{trust.KindDenied, trust.Denial{Subject: trust.Root, Value: "a"}, 2},
	)
	var got []string
	for _, d := range s.Denials() {
		got = append(got, string(d.Body.Subject)+" "+d.Body.Value)
	}
	if diff := cmp.Diff([]string{"key c", "file_digest z", "root_digest a", "root_digest b"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVouchedFor(t *testing.T) {
	root := digest("version")
	vouch := func(how trust.Vouching, day int) told {
		return told{trust.KindVouched, trust.Vouch{root, how, "w"}, day}
	}
	other := told{trust.KindVouched, trust.Vouch{digest("other"), trust.Signed, "w"}, 0}
	tests := []struct {
		name  string
		story []told
		how   trust.Vouching // "" where nobody vouches before day 10
		day   int
	}{
		{"nobody", nil, "", 0},
		{"another_version", []told{other}, "", 0},
		{"signed", []told{vouch(trust.Signed, 3)}, trust.Signed, 3},
		{"signed_twice_counts_from_the_first", []told{vouch(trust.Signed, 3), vouch(trust.Signed, 5)}, trust.Signed, 3},
		{"first_by_time_not_by_place", []told{vouch(trust.Signed, 5), vouch(trust.Signed, 3)}, trust.Signed, 3},
		{"approved_before_signed", []told{vouch(trust.Approved, 1), vouch(trust.Signed, 4)}, trust.Signed, 4},
		{"verified_after_signed", []told{vouch(trust.Signed, 4), vouch(trust.Verified, 6)}, trust.Signed, 4},
		{"verified_before_approved", []told{vouch(trust.Verified, 1), vouch(trust.Approved, 2), vouch(trust.Approved, 3)}, trust.Approved, 2},
		{"verified_counts_from_the_last", []told{vouch(trust.Verified, 1), vouch(trust.Verified, 7), vouch(trust.Verified, 2)}, trust.Verified, 7},
		{"at_the_moment", []told{vouch(trust.Signed, 10)}, "", 0},
		{"signed_after_it", []told{vouch(trust.Signed, 11)}, "", 0},
		{"signed_after_it_verified_before", []told{vouch(trust.Verified, 2), vouch(trust.Signed, 11), vouch(trust.Verified, 12)}, trust.Verified, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := fold(t, tt.story...).VouchedFor(root, day(10))
			if ok != (tt.how != "") || got.Body.How != tt.how || ok && !got.Time.Equal(day(tt.day)) {
				t.Errorf("vouched for: %v, %+v", ok, got)
			}
		})
	}
}

func TestNothingIsVouchedForWithoutADigest(t *testing.T) {
	s := fold(t, told{trust.KindVouched, trust.Vouch{How: trust.Signed}, 1})
	if v, ok := s.VouchedFor(artifact.Digest{}, day(10)); ok {
		t.Errorf("a version that could not be read is vouched for: %+v", v)
	}
	if v, ok := s.SignedSince(artifact.Digest{}); ok {
		t.Errorf("a version that could not be read is signed: %+v", v)
	}
}

func TestSignedSince(t *testing.T) {
	root := digest("version")
	vouch := func(how trust.Vouching, day int) told {
		return told{trust.KindVouched, trust.Vouch{root, how, "w"}, day}
	}
	s := fold(t, vouch(trust.Verified, 1), vouch(trust.Signed, 12), vouch(trust.Signed, 11))
	if v, ok := s.SignedSince(root); !ok || !v.Time.Equal(day(11)) {
		t.Errorf("signed since %v, %v", v, ok)
	}
	if _, ok := fold(t, vouch(trust.Approved, 1)).SignedSince(root); ok {
		t.Error("an approval counts as a signing")
	}
}
