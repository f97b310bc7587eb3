package imagefile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// pillow is what Pillow makes of the files in testdata; see testdata/make.py.
func pillow(t testing.TB) map[string]struct {
	Width, Height int
	SHA256        string
} {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Width, Height int
		SHA256        string
	}
	if err := json.Unmarshal(b, &expected); err != nil {
		t.Fatal(err)
	}
	return expected
}

// Every file has the pixels that Pillow reads, bit for bit.
func TestFieldPicturesAreThoseOfPillow(t *testing.T) {
	for name, want := range pillow(t) {
		p, err := ReadFile(t.Context(), filepath.Join("testdata", name), Limits{})
		if err != nil {
			t.Error(err)
			continue
		}
		n := p.NRGBA()
		sum := sha256.Sum256(n.Pix)
		if n.Rect.Dx() != want.Width || n.Rect.Dy() != want.Height || hex.EncodeToString(sum[:]) != want.SHA256 {
			t.Errorf("%s: %dx%d, want %dx%d; other pixels", name, n.Rect.Dx(), n.Rect.Dy(), want.Width, want.Height)
		}
	}
}
