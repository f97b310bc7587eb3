package host_test

import (
	"errors"
	"flag"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "renew testdata/api.txt")

const module = "github.com/quarterturn/quarterturn/"

// What programs may use of host and host/imagefile is in testdata/api.txt, and with it what these expose of
// other packages: the types that they use, constants of those, and the errors that they return. A change
// of that file is a change of the promise in CONTRIBUTING.md: lines may come, none may go.
func TestAPI(t *testing.T) {
	a := newAPI(t)
	for _, path := range []string{module + "host", module + "host/imagefile"} {
		a.all(a.load(t, path), func(types.Object) bool { return true })
	}
	for _, path := range []string{module + "format", module + "format/signature", module + "sla"} {
		a.all(a.load(t, path), func(o types.Object) bool { return strings.HasPrefix(o.Name(), "Err") })
	}
	for len(a.exposed) > 0 {
		o := a.exposed[0]
		a.exposed = a.exposed[1:]
		a.declare(o)
		a.all(a.load(t, o.Pkg().Path()), func(x types.Object) bool {
			_, constant := x.(*types.Const)
			return constant && types.Identical(x.Type(), o.Type())
		})
	}
	slices.Sort(a.lines)
	got := strings.Join(slices.Compact(a.lines), "\n") + "\n"

	golden := filepath.Join("testdata", "api.txt")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(b), "\n")
	for _, line := range want {
		if !slices.Contains(a.lines, line) && line != "" {
			t.Errorf("gone or changed, against the promise of CONTRIBUTING.md: %s", line)
		}
	}
	for _, line := range a.lines {
		if !slices.Contains(want, line) {
			t.Errorf("new, and to be promised by go test ./host -run TestAPI -update: %s", line)
		}
	}
}

// An api collects declarations, a line each.
type api struct {
	importer types.Importer
	lines    []string
	declared map[types.Object]bool
	exposed  []types.Object // types of other packages of the module, to be declared
}

// newAPI returns an api that reads packages as the compiler has written them.
func newAPI(t *testing.T) *api {
	t.Helper()
	out, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", ".", "./imagefile").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		files[path] = file
	}
	return &api{declared: map[types.Object]bool{}, importer: importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })}
}

func (a *api) load(t *testing.T, path string) *types.Package {
	t.Helper()
	p, err := a.importer.Import(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// all declares the exported objects of a package that are wanted.
func (a *api) all(p *types.Package, wanted func(types.Object) bool) {
	for _, name := range p.Scope().Names() {
		if o := p.Scope().Lookup(name); o.Exported() && wanted(o) {
			a.declare(o)
		}
	}
}

func (a *api) line(o types.Object, format string, args ...any) {
	a.lines = append(a.lines, strings.TrimPrefix(o.Pkg().Path(), module)+": "+fmt.Sprintf(format, args...))
}

// text writes a type, and takes note of the module's own in it.
func (a *api) text(t types.Type) string {
	if s, ok := t.(*types.Signature); ok { // the names of parameters promise nothing
		nameless := func(v *types.Tuple) *types.Tuple {
			var vars []*types.Var
			for i := range v.Len() {
				vars = append(vars, types.NewParam(token.NoPos, nil, "", v.At(i).Type()))
			}
			return types.NewTuple(vars...)
		}
		t = types.NewSignatureType(nil, nil, nil, nameless(s.Params()), nameless(s.Results()), s.Variadic())
	}
	a.note(t)
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}

// note queues the module's own types that a type is made of.
func (a *api) note(t types.Type) {
	switch t := t.(type) {
	case *types.Named:
		if o := t.Obj(); o.Exported() && o.Pkg() != nil && strings.HasPrefix(o.Pkg().Path(), module) && !a.declared[o] {
			a.exposed = append(a.exposed, o)
		}
	case *types.Signature:
		a.note(t.Params())
		a.note(t.Results())
	case *types.Tuple:
		for i := range t.Len() {
			a.note(t.At(i).Type())
		}
	case *types.Map:
		a.note(t.Key())
		a.note(t.Elem())
	case *types.Struct:
		for i := range t.NumFields() {
			a.note(t.Field(i).Type())
		}
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		a.note(t.Elem())
	}
}

// declare adds what a program may use of an exported object.
func (a *api) declare(o types.Object) {
	if a.declared[o] {
		return
	}
	a.declared[o] = true
	switch o := o.(type) {
	case *types.Const:
		a.line(o, "const %s %s = %s", o.Name(), a.text(o.Type()), o.Val())
	case *types.Var:
		a.line(o, "var %s %s", o.Name(), a.text(o.Type()))
	case *types.Func:
		a.line(o, "func %s%s", o.Name(), strings.TrimPrefix(a.text(o.Type()), "func"))
	case *types.TypeName:
		a.declareType(o)
	}
}

func (a *api) declareType(o *types.TypeName) {
	switch u := o.Type().Underlying().(type) {
	case *types.Struct:
		a.line(o, "type %s struct", o.Name())
		for i := range u.NumFields() {
			if f := u.Field(i); f.Exported() {
				tag := ""
				if u.Tag(i) != "" {
					tag = " `" + u.Tag(i) + "`"
				}
				a.line(o, "type %s struct, %s %s%s", o.Name(), f.Name(), a.text(f.Type()), tag)
			}
		}
	case *types.Interface: // whose methods are all that one must have
		a.line(o, "type %s interface", o.Name())
		for i := range u.NumMethods() {
			a.line(o, "type %s interface, %s%s", o.Name(), u.Method(i).Name(), strings.TrimPrefix(a.text(u.Method(i).Type()), "func"))
		}
		return
	case *types.Signature:
		if p := u.Params(); p.Len() == 1 && unexported(p.At(0).Type()) { // an option, which is opaque
			a.line(o, "type %s func", o.Name())
			return
		}
		a.line(o, "type %s %s", o.Name(), a.text(u))
	default:
		a.line(o, "type %s %s", o.Name(), a.text(u))
	}
	for _, receiver := range []types.Type{o.Type(), types.NewPointer(o.Type())} {
		methods := types.NewMethodSet(receiver)
		for i := range methods.Len() {
			m := methods.At(i).Obj()
			if _, value := receiver.(*types.Named); m.Exported() && (value || types.NewMethodSet(o.Type()).Lookup(m.Pkg(), m.Name()) == nil) {
				star := "*"
				if value {
					star = ""
				}
				a.line(o, "method (%s%s) %s%s", star, o.Name(), m.Name(), strings.TrimPrefix(a.text(m.Type()), "func"))
			}
		}
	}
}

// unexported reports whether a type, or what it points to, has a name that is not exported.
func unexported(t types.Type) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := t.(*types.Named)
	return ok && !n.Obj().Exported()
}
