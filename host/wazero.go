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

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/wasm/abi"
	"github.com/quarterturn/quarterturn/wasm/module"
)

// sharedCache holds compiled code for the whole process: compiling the module
// takes most of a second, taking it from here milliseconds.
var sharedCache = sync.OnceValue(wazero.NewCompilationCache)

type wazeroEngine struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	cache    *diskCache // to close; nil for the shared one
	slab     []byte
	limit    uint64 // of an instance's memory, in bytes
}

func newWazeroEngine(ctx context.Context, slab []byte, c config) (*wazeroEngine, error) {
	e := &wazeroEngine{slab: slab, limit: c.memoryLimit}
	if c.engine == WazeroInterpreter {
		return e, e.compile(ctx, c, wazero.NewRuntimeConfigInterpreter())
	}
	if c.cacheDir == "" {
		return e, e.compile(ctx, c, wazero.NewRuntimeConfig().WithCompilationCache(sharedCache()))
	}
	for range 2 {
		var err error
		if e.cache, err = openDiskCache(c.cacheDir); err != nil {
			return nil, fmt.Errorf("%w: the directory for compiled code: %w", ErrEngine, err)
		}
		if e.compile(ctx, c, wazero.NewRuntimeConfig().WithCompilationCache(e.cache.CompilationCache)) == nil {
			e.cache.seal()
			return e, nil
		}
		e.cache.drop(ctx)
	}
	// The directory is of no use, as on a full disk: what it would save is time only.
	e.cache = nil
	return e, e.compile(ctx, c, wazero.NewRuntimeConfig().WithCompilationCache(sharedCache()))
}

// compile makes the runtime and the machine code.
func (e *wazeroEngine) compile(ctx context.Context, c config, rc wazero.RuntimeConfig) (err error) {
	pages := uint32((c.memoryLimit + 1<<16 - 1) >> 16)
	e.runtime = wazero.NewRuntimeWithConfig(ctx, rc.WithCloseOnContextDone(c.hardDeadline).WithMemoryLimitPages(pages))
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, e.runtime); err == nil {
		build := module.WASM
		if c.simd {
			build = module.SIMD
		}
		e.compiled, err = e.runtime.CompileModule(ctx, build)
	}
	if err != nil {
		_ = e.runtime.Close(ctx)
		return fmt.Errorf("%w in compiling the module: %w", ErrEngine, err)
	}
	return nil
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
	fn     map[string]api.Function // the exports
	block  uint32                  // a block for rows
	size   uint32                  // its size
	floats []float32
	result sla.Result
}

func (e *wazeroEngine) instantiate(ctx context.Context) (instance, error) {
	i := &wazeroInstance{fn: make(map[string]api.Function, len(abi.Exports))}
	mod, err := e.runtime.InstantiateModule(ctx, e.compiled, wazero.NewModuleConfig().
		WithName("").WithStartFunctions("_initialize").WithStderr(&i.stderr).WithEnv("GOGC", abi.GOGC))
	if err != nil {
		return nil, i.failed("starting", err)
	}
	i.mod = mod
	for _, name := range abi.Exports {
		if i.fn[name] = mod.ExportedFunction(name); i.fn[name] == nil {
			i.close(ctx)
			return nil, fmt.Errorf("%w: the module lacks %s", ErrEngine, name)
		}
	}
	if v, err := i.call(ctx, abi.ABI); err != nil || v != abi.Version {
		i.close(ctx)
		return nil, cmp.Or(err, fmt.Errorf("%w: the module speaks interface %d, this program %d", ErrEngine, v, abi.Version))
	}
	if err := i.open(ctx, e.slab, e.limit); err != nil {
		i.close(ctx)
		return nil, err
	}
	return i, nil
}

func (i *wazeroInstance) open(ctx context.Context, slab []byte, limit uint64) error {
	pointer, err := i.alloc(ctx, len(slab))
	if err != nil {
		return err
	}
	if !i.mod.Memory().Write(pointer, slab) {
		return fmt.Errorf("%w: the slab does not fit its block", ErrEngine)
	}
	opened := i.do(ctx, abi.Open, uint64(pointer), uint64(len(slab)), limit)
	_, err = i.call(ctx, abi.Free, uint64(pointer))
	return cmp.Or(opened, err)
}

func (i *wazeroInstance) alloc(ctx context.Context, n int) (uint32, error) {
	p, err := i.call(ctx, abi.Alloc, uint64(uint32(n)))
	if err == nil && p == 0 {
		err = fmt.Errorf("%w: a block of %d bytes is too large for the module", ErrEngine, n)
	}
	return uint32(p), err
}

// call calls an export that has one result or none.
func (i *wazeroInstance) call(ctx context.Context, name string, args ...uint64) (uint64, error) {
	r, err := i.fn[name].Call(ctx, args...)
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
	return fmt.Errorf("%w in %s: %w", ErrEngine, what, &taggedError{err, cause})
}

// do calls an export that returns a code.
func (i *wazeroInstance) do(ctx context.Context, name string, args ...uint64) error {
	code, err := i.call(ctx, name, args...)
	if err != nil || code == 0 {
		return err
	}
	text, err := i.output(ctx)
	if err != nil {
		return err
	}
	if code < uint64(len(abi.Results)) {
		if kind := abi.Results[code].Err; kind != abi.ErrNoSlab && kind != abi.ErrBlock {
			return &taggedError{kind, string(text)}
		}
	}
	return fmt.Errorf("%w in %s: code %d, %s", ErrEngine, name, code, text)
}

// output is the output of the last call, in the guest's memory.
func (i *wazeroInstance) output(ctx context.Context) ([]byte, error) {
	p, err := i.call(ctx, abi.Output)
	if err != nil {
		return nil, err
	}
	n, err := i.call(ctx, abi.OutputLen)
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
	return i.do(ctx, abi.Begin, side(width), side(height))
}

func (i *wazeroInstance) rows(ctx context.Context, rgba []byte) error {
	if err := i.write(ctx, rgba); err != nil {
		return err
	}
	return i.do(ctx, abi.Rows, uint64(i.block), uint64(len(rgba)))
}

// write copies bytes into the instance's block, which grows as needed.
func (i *wazeroInstance) write(ctx context.Context, b []byte) error {
	if n := uint32(len(b)); n > i.size {
		if i.block != 0 {
			if _, err := i.call(ctx, abi.Free, uint64(i.block)); err != nil {
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

func (i *wazeroInstance) run(ctx context.Context, mode sla.Mode, work int) (*sla.Result, error) {
	return i.outcome(ctx, i.do(ctx, abi.Run, uint64(uint32(mode)), uint64(uint32(work))))
}

func (i *wazeroInstance) match(ctx context.Context, gallery []float32, work int) (*sla.Result, error) {
	b := sla.AppendBits(nil, gallery)
	if err := i.write(ctx, b); err != nil {
		return nil, err
	}
	return i.outcome(ctx, i.do(ctx, abi.Match, uint64(i.block), uint64(len(b)), uint64(uint32(work))))
}

func (i *wazeroInstance) features(ctx context.Context, work int) ([]float32, error) {
	if err := i.do(ctx, abi.Features, uint64(uint32(work))); err != nil {
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

func (i *wazeroInstance) trace(ctx context.Context, mode sla.Mode, work int) ([]uint64, error) {
	if err := i.do(ctx, abi.Trace, uint64(uint32(mode)), uint64(uint32(work))); err != nil {
		return nil, err
	}
	out, err := i.output(ctx)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	t := make([]uint64, len(out)/8)
	for k := range t {
		t[k] = binary.LittleEndian.Uint64(out[8*k:])
	}
	return t, nil
}

func (i *wazeroInstance) verify(ctx context.Context, work int) ([]byte, error) {
	if err := i.do(ctx, abi.Verify, uint64(uint32(work))); err != nil {
		return nil, err
	}
	out, err := i.output(ctx)
	if len(out) == 0 {
		return nil, err
	}
	return out, err
}

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
