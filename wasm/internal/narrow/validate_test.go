package narrow

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/quarterturn/quarterturn/wasm/internal/gen"
)

// around is a module with one function that takes an i32 and leaves one.
func around(body []byte) []byte {
	out := []byte(header)
	section := func(id byte, b ...byte) { out = appendSized(append(out, id), b) }
	section(typeSection, 1, typeOfFunction, 1, typeI32, 1, typeI32)
	section(functionSection, 1, 0)
	section(5, 1, 0, 1) // a memory
	section(globalSection, 1, typeI32, 1, i32Const, 0, 0x0b)
	section(codeSection, append([]byte{1}, appendSized(nil, body)...)...)
	return out
}

// wazeroTakes says whether wazero finds a function's body valid.
func wazeroTakes(t testing.TB, body []byte) error {
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(t.Context())
	m, err := r.CompileModule(t.Context(), around(body))
	if err == nil {
		m.Close(t.Context())
	}
	return err
}

// bodies are those of both builds.
func bodies() map[string][]byte {
	all := map[string][]byte{}
	for build, vectors := range map[string]bool{"plain": false, "SIMD": true} {
		for name, body := range gen.Bodies(vectors) {
			if body != nil {
				all[build+" "+name] = body
			}
		}
	}
	return all
}

func TestValidBodies(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, body := range bodies() {
		if err := validate(body, "i", "i"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := wazeroTakes(t, body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range len(body) {
			if validate(body[:n], "i", "i") == nil {
				t.Fatalf("the first %d bytes of the body of %s are taken for a body", n, name)
			}
		}
		if validate(append(body[:len(body):len(body)], 0), "i", "i") == nil {
			t.Errorf("%s: a byte behind the end is overlooked", name)
		}
	}
}

func TestInvalidBodies(t *testing.T) {
	const end, drop = 0x0b, 0x1a
	for want, code := range map[string][]byte{
		"operation 0x10 is not known":          {0, call, 0, end},
		"operation 0xfd 0x105 is not known":    {1, 1, typeV128, localGet, 1, localGet, 1, localGet, 1, vectorPrefix, 0x85, 2, end}, // relaxed
		"operand of type i where v":            {0, localGet, 0, localGet, 0, vectorPrefix, 0xe4, 1, drop, localGet, 0, end},
		"an operand is missing":                {0, end},
		"values that nobody takes":             {0, localGet, 0, localGet, 0, end},
		"there is no local 1":                  {0, localGet, 1, end},
		"global 1 is not the stack pointer":    {0, globalGet, 1, end},
		"a branch out of 3 blocks":             {0, loop, noResult, br, 2, end, localGet, 0, end},
		"an alignment of 2^5":                  {0, localGet, 0, vectorPrefix, 0, 5, 0, drop, localGet, 0, end},
		"lane 4 of 4":                          {1, 1, typeV128, localGet, 0, localGet, 1, vectorPrefix, 0x56, 2, 0, 4, drop, localGet, 0, end},
		"operation 0x6d is not known":          {0, localGet, 0, localGet, 0, 0x6d, end}, // a division
		"a block of type 0x7e":                 {0, block, typeI64, end, localGet, 0, end},
		"an if that do not belong":             {0, localGet, 0, ifElse, typeI32, localGet, 0, end, end},
		"select of anything but floats":        {0, localGet, 0, localGet, 0, localGet, 0, 0x1b, end},
		"has more than 32 bits":                {0, i32Const, 0x80, 0x80, 0x80, 0x80, 0x08, end},
		"locals have unknown types":            {1, 1, 0x70, localGet, 0, end},
		"are too many":                         {1, 0xff, 0xff, 3, typeI32, localGet, 0, end},
		"it ends early":                        {0, localGet, 0},
		"it does not end where its last block": {0, localGet, 0, end, end},
	} {
		if err := validate(code, "i", "i"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: %v, want an error with %q", code, err, want)
		}
	}
}

func TestReplacedFunction(t *testing.T) {
	body := []byte{0, i32Const, 42, 0x0b}
	replaced, err := Module(dot, map[string][]byte{"above": body})
	if err != nil {
		t.Fatal(err)
	}
	m := instance(t, replaced, 17)
	if got := result(t, m, "above"); got != 42 {
		t.Errorf("the other body returns %d, want 42", got)
	}
	if got, want := result(t, m, "dot", 0, 256, 17), result(t, instance(t, dot, 17), "dot", 0, 256, 17); got != want {
		t.Errorf("another function returns %d, returned %d", got, want)
	}
	for name, want := range map[string]string{"below": "there is no local 0", "dot": "operand of type i where f", "nothing": "no function"} {
		if _, err := Module(dot, map[string][]byte{name: {0, localGet, 0, 0x0b}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", name, err, want)
		}
	}
}

// What is accepted here every engine accepts.
func FuzzValidate(f *testing.F) {
	for _, body := range bodies() {
		f.Add(body)
	}
	f.Add([]byte{0, localGet, 0, block, typeI32, i32Const, 1, localGet, 0, brIf, 0, 0x0b, 0x6a, 0x0b})
	f.Fuzz(func(t *testing.T, body []byte) {
		if validate(body, "i", "i") != nil {
			return
		}
		if err := wazeroTakes(t, body); err != nil {
			t.Errorf("wazero: %v", err)
		}
	})
}

// Body cuts out what Module narrows.
func TestBody(t *testing.T) {
	body, err := Body(dot, "dot")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Module(dot, narrowing("dot"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(whole), string(binary.AppendUvarint(nil, uint64(len(body))))+string(body)) {
		t.Error("the narrowed module does not have that body")
	}
	if _, err := Body(dot, "stores"); err == nil || !strings.Contains(err.Error(), "stores") {
		t.Errorf("a function that cannot be narrowed: %v", err)
	}
}
