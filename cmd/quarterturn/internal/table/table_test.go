package table

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

const lines = `{"image":"a, \"b\".png","mode":"single","passes":1,"top":[{"label":"cat","index":2,"probability":0.75},{"label":"dog","index":0,"probability":1e-9}],"digest":"d1"}
{"image":"�.png","image_base64":"/y5wbmc=","error":"not an image"}
{"image":"c.png","mode":"adaptive","passes":4,"top":[],"digest":"d2"}
`

// C21: the file is what its name says, with all that the lines say.
func TestFieldC21CSV(t *testing.T) {
	write, err := For("out.CSV", 2)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := write(strings.NewReader(lines), &b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"image|image_base64|error|mode|passes|digest|label1|index1|probability1|label2|index2|probability2",
		`a, "b".png|||single|1|d1|cat|2|0.75|dog|0|1e-09`, "�.png|/y5wbmc=|not an image|||||||||", "c.png|||adaptive|4|d2||||||",
	}
	if len(rows) != len(want) {
		t.Fatalf("%q", rows)
	}
	for i, row := range rows {
		if got := strings.Join(row, "|"); got != want[i] {
			t.Errorf("row %d: %q, want %q", i, got, want[i])
		}
	}
}

func TestFieldC21Parquet(t *testing.T) {
	write, err := For("out.parquet", 2)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := write(strings.NewReader(lines), &b); err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.Read[row](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	first, bad, last := rows[0], rows[1], rows[2]
	if first.Image != `a, "b".png` || first.Error != nil || *first.Mode != "single" || *first.Passes != 1 || *first.Digest != "d1" || len(first.Top) != 2 || first.Top[1] != (class{"dog", 0, 1e-9}) {
		t.Errorf("%+v", first)
	}
	if *bad.Bytes != "/y5wbmc=" || *bad.Error != "not an image" || bad.Mode != nil || bad.Passes != nil || bad.Digest != nil || len(bad.Top) != 0 {
		t.Errorf("%+v", bad)
	}
	if *last.Passes != 4 || len(last.Top) != 0 {
		t.Errorf("%+v", last)
	}
}

func TestOtherNames(t *testing.T) {
	for _, name := range []string{"a.jsonl", "lines", "b.ndjson"} {
		if write, err := For(name, 5); write != nil || err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"a.json", "a.tsv", "a.XLSX", "a.jsonl.gz"} {
		if _, err := For(name, 5); err == nil || !strings.Contains(err.Error(), ".jsonl") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
