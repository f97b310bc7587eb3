package host

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/wasm/module"
)

// abi is the version of the module's interface that this package speaks.
const abi = 1

// kinds gives the error of each result code of the module; see package wasm.
var kinds = [...]error{
	1: format.ErrNotSlab, 2: format.ErrVersion, 3: format.ErrCorrupt, 4: format.ErrUnsupported,
	5: sla.ErrMode, 6: ErrImage, 7: ErrEngine, 8: sla.ErrSelfTest, 9: ErrEngine,
}

// sharedCache holds compiled code for the whole process: compiling the module
// takes most of a second, taking it from here milliseconds.
var sharedCache = sync.OnceValue(wazero.NewCompilationCache)

type wazeroEngine struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	cache    wazero.CompilationCache // to close; nil for the shared one
	slab     []byte
}

func newWazeroEngine(ctx context.Context, slab []byte, c config) (*wazeroEngine, error) {
	rc := wazero.NewRuntimeConfig()
	e := &wazeroEngine{slab: slab}
	switch {
	case c.engine == WazeroInterpreter:
		rc = wazero.NewRuntimeConfigInterpreter()
	case c.cacheDir != "":
		cache, err := wazero.NewCompilationCacheWithDir(c.cacheDir)
		if err != nil {
			return nil, fmt.Errorf("compilation cache: %w", err)
		}
		e.cache = cache
		rc = rc.WithCompilationCache(cache)
	default:
		rc = rc.WithCompilationCache(sharedCache())
	}
	rc = rc.WithCloseOnContextDone(c.hardDeadline)
	pages := min((c.memoryLimit+65535)/65536, 65536)
	e.runtime = wazero.NewRuntimeWithConfig(ctx, rc.WithMemoryLimitPages(uint32(max(1, pages))))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, e.runtime); err != nil {
		e.close(ctx)
		return nil, fmt.Errorf("%w: %v", ErrEngine, err)
	}
	var err error
	if e.compiled, err = e.runtime.CompileModule(ctx, module.WASM); err != nil {
		e.close(ctx)
		return nil, fmt.Errorf("%w: compiling the module with a limit of %d bytes of memory: %v", ErrEngine, c.memoryLimit, err)
	}
	return e, nil
}

func (e *wazeroEngine) close(ctx context.Context) error {
	err := e.runtime.Close(ctx)
	if e.cache != nil {
		err = cmp.Or(err, e.cache.Close(ctx))
	}
	return err
}

// A wazeroInstance is one instance of the module with the slab open in it.
type wazeroInstance struct {
	mod    api.Module
	stderr head
	fn     map[string]api.Function
	block  uint32 // a block for rows
	size   uint32 // its size
	floats []float32
	result sla.Result
}

func (e *wazeroEngine) instantiate(ctx context.Context) (instance, error) {
	i := &wazeroInstance{fn: map[string]api.Function{}}
	mod, err := e.runtime.InstantiateModule(ctx, e.compiled, wazero.NewModuleConfig().
		WithName("").WithStartFunctions("_initialize").WithStderr(&i.stderr))
	if err != nil {
		return nil, i.failed("starting", err)
	}
	i.mod = mod
	if v, err := i.call(ctx, "qt_abi"); err != nil || v != abi {
		i.close(ctx)
		return nil, cmp.Or(err, fmt.Errorf("%w: the module speaks interface %d, this program %d", ErrEngine, v, abi))
	}
	if err := i.open(ctx, e.slab); err != nil {
		i.close(ctx)
		return nil, err
	}
	return i, nil
}

func (i *wazeroInstance) open(ctx context.Context, slab []byte) error {
	pointer, err := i.alloc(ctx, len(slab))
	if err != nil {
		return err
	}
	if !i.mod.Memory().Write(pointer, slab) {
		return fmt.Errorf("%w: the slab does not fit its block", ErrEngine)
	}
	opened := i.do(ctx, "qt_open", uint64(pointer), uint64(len(slab)))
	_, err = i.call(ctx, "qt_free", uint64(pointer))
	return cmp.Or(opened, err)
}

func (i *wazeroInstance) alloc(ctx context.Context, n int) (uint32, error) {
	p, err := i.call(ctx, "qt_alloc", uint64(uint32(n)))
	if err == nil && p == 0 {
		err = fmt.Errorf("%w: a block of %d bytes is too large for the module", ErrEngine, n)
	}
	return uint32(p), err
}

// call calls an export that has one result or none.
func (i *wazeroInstance) call(ctx context.Context, name string, args ...uint64) (uint64, error) {
	f := i.fn[name]
	if f == nil {
		if f = i.mod.ExportedFunction(name); f == nil {
			return 0, fmt.Errorf("%w: the module lacks %s", ErrEngine, name)
		}
		i.fn[name] = f
	}
	r, err := f.Call(ctx, args...)
	if err != nil {
		var exit *sys.ExitError
		if errors.As(err, &exit) && ctx.Err() != nil {
			return 0, &stoppedError{ctx.Err()} // WithHardDeadline
		}
		return 0, i.failed(name, err)
	}
	if len(r) == 0 {
		return 0, nil
	}
	return uint64(uint32(r[0])), nil
}

// failed makes the error of a trap: what the guest said last, if anything.
func (i *wazeroInstance) failed(what string, err error) error {
	cause := err.Error()
	if said := strings.TrimSpace(i.stderr.String()); said != "" {
		cause, _, _ = strings.Cut(said, "\n")
	}
	return fmt.Errorf("%w in %s: %s", ErrEngine, what, cause)
}

// do calls an export that gives a code.
func (i *wazeroInstance) do(ctx context.Context, name string, args ...uint64) error {
	code, err := i.call(ctx, name, args...)
	if err != nil || code == 0 {
		return err
	}
	text, err := i.output(ctx)
	if err != nil {
		return err
	}
	kind := ErrEngine
	if code < uint64(len(kinds)) {
		kind = kinds[code]
	}
	return &taggedError{kind, string(text)}
}

// output is the output of the last call, in the guest's memory.
func (i *wazeroInstance) output(ctx context.Context) ([]byte, error) {
	p, err := i.call(ctx, "qt_output")
	if err != nil {
		return nil, err
	}
	n, err := i.call(ctx, "qt_output_len")
	if err != nil {
		return nil, err
	}
	b, ok := i.mod.Memory().Read(uint32(p), uint32(n))
	if !ok {
		return nil, fmt.Errorf("%w: the output lies outside the module's memory", ErrEngine)
	}
	return b, nil
}

func (i *wazeroInstance) begin(ctx context.Context, width, height int) error {
	// A negative or huge side becomes a number that the module refuses.
	side := func(v int) uint64 { return uint64(min(uint(v), math.MaxUint32)) }
	return i.do(ctx, "qt_begin", side(width), side(height))
}

func (i *wazeroInstance) rows(ctx context.Context, rgba []byte) error {
	if err := i.write(ctx, rgba); err != nil {
		return err
	}
	return i.do(ctx, "qt_rows", uint64(i.block), uint64(len(rgba)))
}

// write copies bytes into the instance's block, which grows as needed.
func (i *wazeroInstance) write(ctx context.Context, b []byte) error {
	if n := uint32(len(b)); n > i.size {
		if i.block != 0 {
			if _, err := i.call(ctx, "qt_free", uint64(i.block)); err != nil {
				return err
			}
		}
		p, err := i.alloc(ctx, len(b))
		if err != nil {
			return err
		}
		i.block, i.size = p, n
	}
	if !i.mod.Memory().Write(i.block, b) {
		return fmt.Errorf("%w: %d bytes do not fit their block", ErrEngine, len(b))
	}
	return nil
}

func (i *wazeroInstance) run(ctx context.Context, mode sla.Mode, macs int) (*sla.Result, error) {
	return i.outcome(ctx, i.do(ctx, "qt_run", uint64(uint32(mode)), uint64(uint32(macs))))
}

func (i *wazeroInstance) match(ctx context.Context, gallery []float32, macs int) (*sla.Result, error) {
	b := sla.AppendBits(nil, gallery)
	if err := i.write(ctx, b); err != nil {
		return nil, err
	}
	return i.outcome(ctx, i.do(ctx, "qt_match", uint64(i.block), uint64(len(b)), uint64(uint32(macs))))
}

func (i *wazeroInstance) features(ctx context.Context, macs int) ([]float32, error) {
	if err := i.do(ctx, "qt_features", uint64(uint32(macs))); err != nil {
		return nil, err
	}
	out, err := i.output(ctx)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	i.read(out)
	return i.floats, nil
}

// read takes floats out of the guest's memory.
func (i *wazeroInstance) read(b []byte) {
	i.floats = i.floats[:0]
	for ; len(b) >= 4; b = b[4:] {
		i.floats = append(i.floats, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
}

// outcome is the result of a call that failed or not: nil if it is not there yet.
func (i *wazeroInstance) outcome(ctx context.Context, err error) (*sla.Result, error) {
	if err != nil {
		return nil, err
	}
	out, err := i.output(ctx)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	if len(out) < 16 || len(out)%4 != 0 {
		return nil, fmt.Errorf("%w: a result of %d bytes", ErrEngine, len(out))
	}
	word := func(k int) int { return int(binary.LittleEndian.Uint32(out[4*k:])) }
	n, views := word(2), word(3)
	if len(out)/4 != 4+n*(2+views) {
		return nil, fmt.Errorf("%w: a result of %d bytes for %d classes and %d views", ErrEngine, len(out), n, views)
	}
	i.read(out[16:])
	i.result = sla.Result{Mode: sla.Mode(word(0)), Passes: word(1),
		Logits: i.floats[:n:n], Probabilities: i.floats[n : 2*n : 2*n]}
	if views > 0 {
		i.result.Views = i.floats[2*n:]
	}
	return &i.result, nil
}

func (i *wazeroInstance) trace(ctx context.Context, mode sla.Mode) ([]uint64, error) {
	if err := i.do(ctx, "qt_trace", uint64(uint32(mode))); err != nil {
		return nil, err
	}
	out, err := i.output(ctx)
	if err != nil {
		return nil, err
	}
	t := make([]uint64, len(out)/8)
	for k := range t {
		t[k] = binary.LittleEndian.Uint64(out[8*k:])
	}
	return t, nil
}

func (i *wazeroInstance) verify(ctx context.Context) error { return i.do(ctx, "qt_verify") }

func (i *wazeroInstance) memory() uint64 { return uint64(i.mod.Memory().Size()) }

func (i *wazeroInstance) close(ctx context.Context) error { return i.mod.Close(ctx) }

// A head keeps the first bytes of what a guest prints: the reason of a crash
// comes first, its stack trace after.
type head struct{ bytes.Buffer }

func (t *head) Write(p []byte) (int, error) {
	if room := 4096 - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
