package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/quarterturn/quarterturn/format/signature"
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

// ErrOption says that an option makes no sense.
var ErrOption = errors.New("unusable option")

type config struct {
	engine       Engine
	pool         int
	poolMemory   uint64
	memoryLimit  uint64
	maxWork      int
	cacheDir     string
	hardDeadline bool
	simd         bool
	signature    []byte
	keys         []signature.Key
	tracer       Tracer
	refusal
}

// A refusal is the error of the first bad option, if there is one.
type refusal struct{ err error }

// refuse keeps the error of an option, unless ok.
func (r *refusal) refuse(ok bool, format string, args ...any) {
	if !ok && r.err == nil {
		r.err = &taggedError{ErrOption, fmt.Sprintf(format, args...)}
	}
}

// apply has options change a configuration.
func apply[C any, O ~func(*C)](c *C, r *refusal, opts []O) {
	for i, o := range opts {
		if r.refuse(o != nil, "option %d of %d is nil", i+1, len(opts)); o != nil {
			o(c)
		}
	}
}

// An Option changes how Open sets a Classifier up.
type Option func(*config)

// WithEngine chooses the engine; Wazero is the default.
func WithEngine(e Engine) Option {
	return func(c *config) {
		c.refuse(e >= Wazero && e <= Native, "there is no engine %d", int(e))
		c.engine = e
	}
}

// WithTrustedKeys refuses slabs that are not signed by one of these public keys of
// minisign, each the line that begins with RW or a whole key file. The signature comes
// with WithSignature. Open's error is signature.ErrUntrusted, of package format/signature.
func WithTrustedKeys(keys ...string) Option {
	return func(c *config) {
		c.refuse(len(keys) > 0, "no key is trusted, so no slab can be")
		for _, text := range keys {
			k, err := signature.ParseKey(text)
			c.refuse(err == nil, "a trusted key: %v", err)
			c.keys = append(c.keys, k)
		}
	}
}

// WithSignature gives the slab's detached signature, the text of its .minisig file, which
// WithTrustedKeys asks for.
func WithSignature(text []byte) Option {
	return func(c *config) { c.signature = text }
}

// maxPool is the largest pool.
const maxPool = 1 << 16

// WithPoolSize bounds how many images are classified at a time, 1 to 65536; more wait.
// Each takes an instance with memory of its own. The default is GOMAXPROCS.
func WithPoolSize(n int) Option {
	return func(c *config) {
		c.refuse(n >= 1 && n <= maxPool, "a pool of %d instances; want 1 to %d", n, maxPool)
		c.pool = n
	}
}

// WithPoolMemory bounds the memory of all instances together, in bytes: the pool is
// made smaller until what the first instance takes when it is open, times their
// number, is no more, and an instance that has grown since then, as one does with a large
// gallery, is closed after its call if they hold more. One instance there always is.
func WithPoolMemory(bytes uint64) Option {
	return func(c *config) {
		c.refuse(bytes > 0, "a pool without memory")
		c.poolMemory = bytes
	}
}

// maxMemory is all that a 32-bit module can address.
const maxMemory = 1<<32 - 1<<16

// WithMemoryLimit bounds the memory of one instance, in bytes. A slab that needs more, as
// sla.Need counts it, is refused with format.ErrUnsupported, whichever engine runs it; a
// sandboxed instance cannot take more. The default is sla.DefaultMemory: 256 MiB and eight
// times the slab's tensors. More than 4 GiB is no more than that.
func WithMemoryLimit(bytes uint64) Option {
	return func(c *config) {
		c.refuse(bytes > 0, "a limit of no memory")
		c.memoryLimit = bytes
	}
}

// WithMaxWork bounds the work of an image in the mode that takes the most passes, as
// sla.Work counts it in multiply-adds; slabs that need more are refused with
// format.ErrUnsupported. The default is 2^36, ten seconds or so of one processor.
func WithMaxWork(macs int) Option {
	return func(c *config) {
		c.refuse(macs > 0, "a limit of %d multiply-adds", macs)
		c.maxWork = macs
	}
}

// WithCacheDir keeps compiled code in a directory, so that the next process
// opens in milliseconds. Without it, code is shared within this process only. Files
// there that are damaged are dropped and made again.
func WithCacheDir(dir string) Option { return func(c *config) { c.cacheDir = dir } }

// WithHardDeadline has the Wazero engines stop a call wherever it is when its context
// ends, in the middle of a small part of a layer too, and throw its instance away. The code that
// looks for the end makes every call slower; docs/performance.md says by how much.
// Without it, and in the native engine, calls stop between two parts.
func WithHardDeadline() Option { return func(c *config) { c.hardDeadline = true } }

// WithSIMD chooses between the two builds of the module that the Wazero engines run:
// with kernels of 128-bit vector operations, the default, or without. Both give the
// same bits.
func WithSIMD(on bool) Option { return func(c *config) { c.simd = on } }

// WithTracer has the calls of Classify traced.
func WithTracer(t Tracer) Option {
	return func(c *config) {
		c.refuse(t != nil, "the tracer is nil")
		c.tracer = t
	}
}

// A Tracer follows calls, as OpenTelemetry does. The spans of a call are "classify"
// and in it "wait" for an instance, "preprocess" and "run".
type Tracer interface {
	// Start begins a span within that of ctx, if there is one, and returns the context
	// for what happens in it. end is called once, with the error if there was one.
	Start(ctx context.Context, span string) (_ context.Context, end func(error))
}

// noTracer is the default.
type noTracer struct{}

func (noTracer) Start(ctx context.Context, _ string) (context.Context, func(error)) {
	return ctx, func(error) {}
}

func newConfig(opts []Option) (config, error) {
	c := config{pool: runtime.GOMAXPROCS(0), maxWork: 1 << 36, simd: true, tracer: noTracer{}}
	apply(&c, &c.refusal, opts)
	return c, c.err
}

type call struct {
	mode sla.Mode
	topK int
	refusal
}

// A CallOption changes one call of Classify.
type CallOption func(*call)

// WithMode chooses the inference mode, such as Aggregated; the default is Auto, the one
// that the slab recommends.
func WithMode(m sla.Mode) CallOption { return func(c *call) { c.mode = m } }

// WithTopK bounds the entries of Prediction.Top, 0 or more; the default is 5.
func WithTopK(k int) CallOption { return func(c *call) { c.topK = k } }

// Mode is the former name of WithMode.
func Mode(m sla.Mode) CallOption { return WithMode(m) }

// TopK is the former name of WithTopK.
func TopK(k int) CallOption { return WithTopK(k) }

func newCall(opts []CallOption) (call, error) {
	c := call{topK: 5}
	apply(&c, &c.refusal, opts)
	c.refuse(c.topK >= 0, "the top %d classes; want 0 or more", c.topK)
	return c, c.err
}
