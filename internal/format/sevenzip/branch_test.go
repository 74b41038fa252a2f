package sevenzip

import (
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// before and after are noise full of what looks like calls, and what liblzma's
// filter for x86 makes of it.
const (
	before = "e800e8006de900e9e81fffe8e8e8ff00e80000ffeeff007ce9ff9300e9e9e900a0e9ffe8f200e9ffe9b1e9000042cbffe9ffdc8eb7ff4de8e8e8e8e9ff1bffffe9e8e1e900e8ff00c0e9ba00eeffe8870000b9e8982eff0000ff00cd74e9008f00ffffbae8e8e900ff2b3d6600ffe900570ee94affffe8e800006ce8e8a6e91fb5d742005d00e900ffff361de9e8002000ffff00ff6746ff00ffe94fbbe87030ffe8e9cee80009e900ff00e835e9e8e884ff2de800e8ffe8e8ffd589000052e8e900e8e812e80036ffff9d00e8ff42e900e990ffe8e9e9a5e9e8e9e9"
	after  = "e800e8076de900e9e81fffe8f8e8ff00e80000ffeeff007ce9ff9300e9e9e900a0e9ffe8f200e9ffe9dee9000042cbffe9ffdc8eb7ff4de8e825e9e9ff1bffffe92de2e900e8ff00c0e90801eeffe8870000b9e8f02eff0000ff00cd74e9628f00ffffbae851ea00ff2b3d6600ffe900570ee94affffe8e800006ce8e8a6e91fb5d742005d00e900ffff361de979012000ffff00ff6746ff00ffe94fbbe87030ffe88fcfe80009e900ff00e835e99ae984ff2de800e8b9e9e8ffd589000052e8e900e8e812e80036ffff9d00e8d043e900e990ffe8e9e9a5e9e8e9e9"
)

func TestBranch(t *testing.T) {
	filtered, err := hex.DecodeString(after)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"at_once": func(r io.Reader) io.Reader { return r }, "byte_by_byte": iotest.OneByteReader,
	} {
		out, err := io.ReadAll(newBranch(wrap(strings.NewReader(string(filtered)))))
		if got := hex.EncodeToString(out); err != nil || got != before {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, before)
		}
	}
	if _, err := io.ReadAll(newBranch(iotest.ErrReader(io.ErrClosedPipe))); err == nil {
		t.Error("an error of the data is lost")
	}
}
