package pickle_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/weightwarden/weightwarden/internal/artifact"
	"github.com/weightwarden/weightwarden/internal/detect"
	"github.com/weightwarden/weightwarden/internal/detect/pickle"
	format "github.com/weightwarden/weightwarden/internal/format/pickle"
)

// table is a benign pickle of protocol 2: a list of rows of names and numbers,
// memoized as CPython does it, with about 2.25 million opcodes in 6.6 MB.
func table() []byte {
	var b bytes.Buffer
	b.WriteString("\x80\x02]q\x00(")
	slot := uint32(1)
	put := func() {
		b.Write([]byte{'r', byte(slot), byte(slot >> 8), byte(slot >> 16), byte(slot >> 24)})
		slot++
	}
	for i := range 107_000 {
		b.WriteString("}")
		put()
		b.WriteString("(X\x02\x00\x00\x00id")
		put()
		b.Write([]byte{'M', byte(i), byte(i >> 8)})
		b.WriteString("X\x06\x00\x00\x00weight")
		put()
		b.WriteString("G?\xf0\x00\x00\x00\x00\x00\x00]")
		put()
		b.WriteString("(K\x01K\x02K\x03NeK\x07K\x08\x86")
		put()
		b.WriteString("K\x05u")
	}
	b.WriteString("e.")
	return b.Bytes()
}

type noSink struct{ detect.Sink }

func (noSink) Hit(detect.Hit) { panic("a hit in a benign pickle") }
func (noSink) Fact(string)    {}

// BenchmarkLargeBenignPickle is the figure to hold: under a quarter of a
// second and 64 MiB for 2.25 million opcodes.
func BenchmarkLargeBenignPickle(b *testing.B) {
	data := table()
	r, err := format.Run(bytes.NewReader(data), 0, int64(len(data)), format.Limits{}, func(*format.Machine, *format.Event) error { return nil })
	if err != nil || !r.Stopped {
		b.Fatal(err, r.Err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		in := detect.Input{Format: artifact.Pickle, Data: io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), Allowed: nothing{}}
		if err := pickle.New().Detect(b.Context(), in, noSink{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(r.Ops), "opcodes")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(r.Ops), "ns/opcode")
}

type nothing struct{}

func (nothing) Allows(string, string) bool { return false }
