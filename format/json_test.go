package format_test

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
)

// What AppendJSON writes, encoding/json reads back as the same manifest.
func TestAppendJSON(t *testing.T) {
	m := formattest.Tiny(3)
	m.Name = "quote \" slash \\ bell \a newline \n é"
	if _, err := pack.Encode(m); err != nil {
		t.Fatal(err)
	}
	text := m.AppendJSON(nil)
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	digest := all["selftest"].(map[string]any)["digest"]
	if digest != hex.EncodeToString(m.SelfTest.Digest) || all["hash"] != hex.EncodeToString(m.Hash[:]) {
		t.Errorf("hashes are not in hexadecimal: %v", digest)
	}
	if all["macs"] != float64(m.MACs()) || all["parameters"] != float64(m.Parameters()) {
		t.Errorf("macs %v, parameters %v", all["macs"], all["parameters"])
	}

	// Hashes apart, it unmarshals into the very manifest.
	for _, x := range append(all["tensors"].([]any), all["selftest"]) {
		delete(x.(map[string]any), "sha256")
		delete(x.(map[string]any), "digest")
	}
	text, _ = json.Marshal(all)
	var got format.Manifest
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := m.Manifest
	want.SelfTest.Digest = nil
	for i := range want.Tensors {
		want.Tensors[i].SHA256 = nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A count by hand: the tiny net's parameters and multiply-adds.
func TestCounts(t *testing.T) {
	m := formattest.Tiny(3)
	if want := (3*4*9 + 4) + (4*6*9 + 6) + (6*6*9 + 6) + (6*5 + 5) + (5*3 + 3) + (5*12 + 12) + (5*3 + 3); m.Parameters() != want {
		t.Errorf("%d parameters, want %d", m.Parameters(), want)
	}
	if want := 64*3*4*9 + 16*4*6*9 + 16*6*6*9 + 16*6*5; m.MACs() != want {
		t.Errorf("%d multiply-adds, want %d", m.MACs(), want)
	}
}
