package host

import (
	"context"
	"runtime"

	"github.com/quarterturn/quarterturn/sla"
)

// An Engine is a way to run a slab. All of them give the same bits.
type Engine int

const (
	// Wazero compiles the module to machine code and runs it in a sandbox.
	Wazero Engine = iota
	// WazeroInterpreter interprets the module: slow, for checks, and for
	// platforms for which wazero has no compiler.
	WazeroInterpreter
	// Native runs the inference code as a part of this program.
	Native
)

func (e Engine) String() string {
	switch e {
	case Wazero:
		return "wazero"
	case WazeroInterpreter:
		return "wazero-interpreter"
	case Native:
		return "native"
	}
	return "unknown"
}

type config struct {
	engine       Engine
	pool         int
	poolMemory   uint64
	memoryLimit  uint64
	maxWork      int
	cacheDir     string
	hardDeadline bool
	tracer       Tracer
}

// An Option changes how Open sets a Classifier up.
type Option func(*config)

// WithEngine chooses the engine; Wazero is the default.
func WithEngine(e Engine) Option { return func(c *config) { c.engine = e } }

// WithPoolSize bounds how many images are classified at a time; more wait. Each
// takes an instance with memory of its own. The default is GOMAXPROCS.
func WithPoolSize(n int) Option { return func(c *config) { c.pool = max(1, n) } }

// WithPoolMemory bounds the memory of all instances together, in bytes: the pool is
// made smaller until what the first instance takes when it is open, times their
// number, is no more. One instance there always is.
func WithPoolMemory(bytes uint64) Option { return func(c *config) { c.poolMemory = bytes } }

// WithMemoryLimit bounds the memory of one sandboxed instance, in bytes, rounded
// up to 64 KiB. The default is 64 MiB and eight times the slab, which leaves room
// for the weights in the order that kernels want and for garbage on the way
// there. The native engine has no such limit.
func WithMemoryLimit(bytes uint64) Option { return func(c *config) { c.memoryLimit = bytes } }

// WithMaxWork bounds the multiply-adds of an image in the mode that takes the most
// passes, as the slab's layers make them; slabs that need more are refused. The
// default is 2^36, some ten seconds of one processor.
func WithMaxWork(macs int) Option { return func(c *config) { c.maxWork = macs } }

// WithCacheDir keeps compiled code in a directory, so that the next process
// opens in milliseconds. Without it, code is shared within this process only.
func WithCacheDir(dir string) Option { return func(c *config) { c.cacheDir = dir } }

// WithHardDeadline has the Wazero engines stop a call wherever it is when its context
// ends, in the middle of a layer too, and throw its instance away. The code that
// looks for the end makes every call slower; docs/performance.md says by how much.
// Without it, and in the native engine, calls stop between two layers.
func WithHardDeadline() Option { return func(c *config) { c.hardDeadline = true } }

// WithTracer has the calls of Classify traced.
func WithTracer(t Tracer) Option { return func(c *config) { c.tracer = t } }

// A Tracer follows calls, as OpenTelemetry does. The spans of a call are "classify"
// and in it "wait" for an instance, "preprocess" and "run".
type Tracer interface {
	// Start begins a span within that of ctx, if there is one, and gives the context
	// for what happens in it. end is called once, with the error if there was one.
	Start(ctx context.Context, span string) (_ context.Context, end func(error))
}

// noTracer is the default.
type noTracer struct{}

func (noTracer) Start(ctx context.Context, _ string) (context.Context, func(error)) {
	return ctx, func(error) {}
}

func newConfig(slab []byte, opts []Option) config {
	c := config{pool: runtime.GOMAXPROCS(0), memoryLimit: 64<<20 + 8*uint64(len(slab)), maxWork: 1 << 36,
		tracer: noTracer{}}
	for _, o := range opts {
		o(&c)
	}
	return c
}

type call struct {
	mode sla.Mode
	topK int
}

// A CallOption changes one call of Classify.
type CallOption func(*call)

// Mode chooses the inference mode; the default is the one the slab recommends.
func Mode(m sla.Mode) CallOption { return func(c *call) { c.mode = m } }

// TopK bounds the entries of Prediction.Top; the default is 5.
func TopK(k int) CallOption { return func(c *call) { c.topK = max(0, k) } }
