package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/cors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/guard"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/prometheus"
	"github.com/quarterturn/quarterturn/trainer/backbone"
	"github.com/quarterturn/quarterturn/www"
)

const defaultAddress = "127.0.0.1:8080"

// serveOptions are the settings of serve.
type serveOptions struct {
	models          []string // files; none: those that come with the program
	alias           string   // a second name of the first slab, under /v2
	data            string   // the data set of the page's pictures to try; empty: what comes with the program
	addr, adminAddr string
	cert, key       string
	allowedHosts    []string // besides those of addr
	corsOrigins     []string
	tokenFile       string
	workers         int
	connections     int
	queue           int
	timeout         time.Duration
	maxBody         int // MiB
	maxPixels       int // millions
	maxBatch        int
	drainDelay      time.Duration
	logFormat       string
	pprof           bool
	tracer          host.Tracer // nil: none
}

// defaultServeOptions are those of serve without flags.
func defaultServeOptions(addr string) serveOptions {
	return serveOptions{addr: addr, connections: 1024, queue: 64, timeout: 10 * time.Second,
		maxBody: 64, maxPixels: 64, maxBatch: 64, drainDelay: 5 * time.Second, logFormat: "text"}
}

func serveCommand() *cobra.Command {
	s := defaultServeOptions(defaultAddress)
	var chosen slabArgs
	cmd := &cobra.Command{
		Use:   "serve [SLAB...]",
		Short: "Serve a page that classifies in the browser, and classify over HTTP",
		Long: "Serve a page that classifies pictures in the browser, with slabs of yours, of which a visitor chooses one, or\n" +
			"else with two that come with the program: one knows the ten classes of CIFAR-10, and the other is the best to teach\n" +
			"things of one's own, which it is taught whichever slab is looked at. With --data there are pictures to try.\n\n" +
			"The first slab also classifies here: POST an image to /v1/classify, with ?mode=.. and ?top=.. as you like, or\n" +
			"several to /v1/batch; /v2 is the inference protocol of KServe and Triton. GET /v1/model, /v1/openapi.json,\n" +
			"/healthz, /readyz and /metrics (Prometheus).\n\n" +
			"SIGHUP reads the first slab, the tokens and the certificate again and drops no request. SIGTERM and Ctrl-C let requests under way\n" +
			"end; a second Ctrl-C does not. Every flag can also be set by a variable: --max-batch by QUARTERTURN_MAX_BATCH. If\n" +
			"OTEL_EXPORTER_OTLP_ENDPOINT is set, traces and metrics go there.",
		Example: "  quarterturn serve\n" +
			"  quarterturn serve run/model.slab --data photos\n" +
			"  quarterturn serve run/model.slab --addr 0.0.0.0:8080 --allowed-hosts pictures.example\n" +
			"  curl --data-binary @picture.png 'http://127.0.0.1:8080/v1/classify?mode=aggregated&top=3'",
		PreRunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 { // which win over QUARTERTURN_MODEL
				cmd.Flags().Lookup("model").Changed = true
			}
			if err := fromEnvironment(cmd); err != nil {
				return err
			}
			var err error
			if s.models, err = chosen.all(args); err != nil {
				return err
			}
			if err = s.check(); err == nil && s.logFormat == "json" {
				logger = s.logger()
			}
			warnOfEnvironment(cmd) // in the form that was asked for
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			hangups := watchHangups() // before anything that takes time
			defer hangups.stop()
			if term.IsTerminal(int(os.Stderr.Fd())) && !cmd.Flags().Changed("drain-delay") {
				s.drainDelay = 0 // somebody waits for it, and no balancer looks
			}
			slabs := [][]byte{www.Model, backbone.Slab}
			s.alias = www.ModelName
			if len(s.models) > 0 {
				slabs = nil
				s.alias = slabAlias(s.models[0])
			}
			for _, name := range s.models {
				slab, _, err := readServed(name)
				if err != nil {
					return err
				}
				slabs = append(slabs, slab)
			}
			listener, err := listen(s.addr)
			if err != nil {
				return err
			}
			return s.serve(cmd.Context(), listener, slabs, hangups)
		},
	}
	s.flags(cmd.Flags(), &chosen)
	cmd.Flags().StringVar(&s.data, "data", "", "a `data set` with the slabs' classes, of whose test split the page shows a picture each")
	return cmd
}

func (s *serveOptions) flags(f *pflag.FlagSet, chosen *slabArgs) {
	group(f, "What and where", func(f *pflag.FlagSet) {
		chosen.add(f, "a `slab`, several times for several; without it, the one that comes with the program")
		f.StringVar(&s.addr, "addr", s.addr, "`address` to listen on")
		f.StringVar(&s.adminAddr, "admin-addr", s.adminAddr, "another `address`, for /metrics, /debug/pprof/, /healthz and /readyz alone")
		f.StringVar(&s.cert, "tls-cert", s.cert, "serve https with this certificate `file`")
		f.StringVar(&s.key, "tls-key", s.key, "and this key `file`")
	})
	group(f, "Who may ask", func(f *pflag.FlagSet) {
		f.StringSliceVar(&s.allowedHosts, "allowed-hosts", s.allowedHosts, "`names` it is asked under, besides localhost and what --addr says; * for all")
		f.StringSliceVar(&s.corsOrigins, "cors-origins", s.corsOrigins, "`origins` whose pages may ask from browsers, such as https://shop.example, or *")
		f.StringVar(&s.tokenFile, "token-file", s.tokenFile, "`file` of bearer tokens, one a line; with it every request but those about health needs one")
	})
	group(f, "How much", func(f *pflag.FlagSet) {
		f.IntVar(&s.workers, "workers", s.workers, "images decoded and classified at a time, each by an instance; 0: one a processor")
		f.IntVar(&s.connections, "connections", s.connections, "connections at a time; the longest idle one is closed for the next")
		f.IntVar(&s.queue, "queue", s.queue, "requests that may wait; more are answered with 429")
		f.DurationVar(&s.timeout, "timeout", s.timeout, "time from a request's first byte to its answer; then 408 or 504")
		f.IntVar(&s.maxBody, "max-body", s.maxBody, "`MiB` of a request's body; all bodies together take four times as much")
		f.IntVar(&s.maxPixels, "max-pixels", s.maxPixels, "`millions` of pixels of an image")
		f.IntVar(&s.maxBatch, "max-batch", s.maxBatch, "images of one request")
	})
	group(f, "Running it", func(f *pflag.FlagSet) {
		f.DurationVar(&s.drainDelay, "drain-delay", s.drainDelay, "time between /readyz saying no and the end of listening; on a terminal none, unless given")
		f.StringVar(&s.logFormat, "log-format", s.logFormat, "text or json; -v logs every request")
		offer(f, "log-format", "text", "json")
		f.BoolVar(&s.pprof, "pprof", s.pprof, "profiles at /debug/pprof/; with --admin-addr they are there anyway")
	})
	oldNames(f, map[string]string{"pool": "workers"})
}

// check refuses settings that make no sense.
func (s *serveOptions) check() error {
	if (s.cert == "") != (s.key == "") {
		return usagef("--tls-cert and --tls-key go together")
	}
	if s.logFormat != "text" && s.logFormat != "json" {
		return usagef("--log-format is text or json, not %q", s.logFormat)
	}
	for name, v := range map[string]int{"connections": s.connections, "max-body": s.maxBody, "max-pixels": s.maxPixels, "max-batch": s.maxBatch} {
		if v < 1 || v > 1<<20 {
			return usagef("--%s is to be from 1 to %d, not %d", name, 1<<20, v)
		}
	}
	for name, v := range map[string]int{"workers": s.workers, "queue": s.queue} {
		if v < 0 || v > 1<<16 {
			return usagef("--%s is to be from 0 to %d, not %d", name, 1<<16, v)
		}
	}
	if err := checkAddr("addr", s.addr); err != nil {
		return err
	}
	if s.adminAddr != "" {
		if err := checkAddr("admin-addr", s.adminAddr); err != nil {
			return err
		}
	}
	if s.timeout <= 0 || s.drainDelay < 0 {
		return usagef("--timeout is to be more than nothing, and --drain-delay no less")
	}
	var err error
	if s.allowedHosts, err = guard.ParseHosts(s.allowedHosts); err != nil {
		return usagef("--allowed-hosts: %w", err)
	}
	if s.corsOrigins, err = guard.ParseOrigins(s.corsOrigins); err != nil {
		return usagef("--cors-origins: %w", err)
	}
	return checkTelemetry()
}

// serve answers on listener, which it closes, until ctx ends. Everything that may fail is
// done before it says that it serves.
func (s *serveOptions) serve(ctx context.Context, listener net.Listener, slabs [][]byte, hangups hangups) error {
	defer listener.Close() // a second close, after the server's, is an error that nobody needs
	log := s.logger()
	page, err := pageOf(ctx, slabs, s.data)
	if err != nil {
		return err
	}
	secrets := &secrets{tokenFile: s.tokenFile, certFile: s.cert, keyFile: s.key}
	if err := errors.Join(secrets.readTokens(), secrets.readCertificate()); err != nil {
		return err
	}
	var adminListener net.Listener
	if s.adminAddr != "" {
		if adminListener, err = net.Listen("tcp", s.adminAddr); err != nil {
			return fmt.Errorf("--admin-addr: %w", err)
		}
		defer adminListener.Close()
	}
	telemetry, stopTelemetry, err := startTelemetry(ctx, log)
	if err != nil {
		return err
	}
	metrics := prometheus.New()
	options := []host.ServiceOption{host.WithAlias(s.alias), host.WithMetrics(metrics), host.WithLogger(log), host.WithQueue(s.queue), host.WithTimeout(s.timeout),
		host.WithMaxBody(int64(s.maxBody) << 20), host.WithMaxPixels(s.maxPixels * 1_000_000), host.WithMaxBatch(s.maxBatch)}
	if telemetry != nil {
		s.tracer = telemetry
		options = append(options, host.WithMetrics(telemetry))
	}
	classifier, err := s.open(ctx, slabs[0])
	if err != nil {
		return err
	}
	service := host.NewService(classifier, options...)
	go onHangup(ctx, hangups.secrets, func() { secrets.reload(log) })
	go onHangup(ctx, hangups.slab, func() { s.reload(ctx, service, log) })

	public := s.public(page, service, metrics, secrets)
	if telemetry != nil {
		public = telemetry.Handler(public)
	}
	servers := []*http.Server{s.server(public, log)}
	failed := make(chan error, 2)
	scheme := "http"
	bound := host.Bound(listener, s.connections)
	if s.cert != "" {
		scheme = "https"
		servers[0].TLSConfig = &tls.Config{GetCertificate: secrets.certificate}
		go func() { failed <- servers[0].ServeTLS(bound, "", "") }()
	} else {
		go func() { failed <- servers[0].Serve(bound) }()
	}
	note("serving %s (stop with Ctrl-C)", browserURL(scheme, listener.Addr()))
	if adminListener != nil {
		admin := s.server(guard.Hosts(s.admin(service, metrics), append(guard.DefaultHosts(s.adminAddr), s.allowedHosts...)), log)
		admin.WriteTimeout = 0 // profiles take as long as they are asked for
		servers = append(servers, admin)
		go func() { failed <- admin.Serve(host.Bound(adminListener, 64)) }()
		note("metrics and profiles at %s", browserURL("http", adminListener.Addr()))
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.drain(service)
	}
	err = errors.Join(err, s.shutDown(ctx, service, servers))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := stopTelemetry(last); err != nil {
		log.Warn("the last of the telemetry was not sent", "error", err)
	}
	return err
}

func (s *serveOptions) server(h http.Handler, log *slog.Logger) *http.Server {
	server := host.NewServer(h, s.timeout)
	server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	return server
}

// public is what the address that everybody knows answers.
func (s *serveOptions) public(page http.Handler, service *host.Service, metrics http.Handler, secrets *secrets) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page)
	for _, path := range []string{"/v1/", "/v2", "/v2/", "/healthz", "/readyz"} {
		mux.Handle(path, service)
	}
	if s.adminAddr == "" {
		mux.Handle("/metrics", guard.ReadOnly(metrics))
		if s.pprof {
			addProfiles(mux)
		}
	}
	h := http.Handler(mux)
	if s.tokenFile != "" {
		h = guard.Bearer(h, secrets.goodTokens)
	}
	if len(s.corsOrigins) > 0 {
		h = cors.New(cors.Options{
			AllowedOrigins: s.corsOrigins, AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost}, MaxAge: 600,
			AllowedHeaders: []string{"Authorization", "Content-Type", "Inference-Header-Content-Length", "Traceparent", "Tracestate"},
			ExposedHeaders: []string{"Inference-Header-Content-Length", "Retry-After"},
		}).Handler(h)
	}
	return guard.Headers(guard.Hosts(h, append(guard.DefaultHosts(s.addr), s.allowedHosts...)), www.Policy)
}

// admin is what the other address answers.
func (s *serveOptions) admin(service *host.Service, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", guard.ReadOnly(metrics))
	mux.Handle("/healthz", service)
	mux.Handle("/readyz", service)
	addProfiles(mux)
	return mux
}

func addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// drain says for a while that the end is near, so that balancers send nothing more.
func (s *serveOptions) drain(service *host.Service) {
	service.SetReady(false)
	if s.drainDelay > 0 {
		note("shutting down: not ready, listening for %v more (Ctrl-C ends it at once)", s.drainDelay)
		time.Sleep(s.drainDelay)
	}
}

// shutDown stops listening, lets the requests under way end, and closes everything.
func (s *serveOptions) shutDown(ctx context.Context, service *host.Service, servers []*http.Server) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout+5*time.Second)
	defer cancel()
	var failed error
	for _, server := range servers {
		if err := server.Shutdown(grace); err != nil {
			failed = errors.Join(failed, fmt.Errorf("requests were cut off: %w", err), server.Close())
		}
	}
	service.Drain()
	return errors.Join(failed, service.Swap(nil).Close(grace))
}

func (s *serveOptions) logger() *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	} else if quiet {
		level = slog.LevelWarn
	}
	options := &slog.HandlerOptions{Level: level}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// checkAddr refuses what is no address to listen at.
func checkAddr(flag, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return usagef("--%s is to be HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or, for every interface, :8080; not %q", flag, addr)
	}
	return nil
}

// listen opens addr; an error says what to do about it.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w; choose another port with --addr, or port 0 for any that is free", err)
	}
	return l, err
}

// browserURL returns an address that a browser on this machine opens: a server that
// listens on every interface is reached as localhost.
func browserURL(scheme string, addr net.Addr) string {
	host := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		host = net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return scheme + "://" + host + "/"
}

func (s *serveOptions) open(ctx context.Context, slab []byte) (*host.Classifier, error) {
	var options []host.Option
	if s.workers > 0 {
		options = append(options, host.WithPoolSize(s.workers))
	}
	if s.tracer != nil {
		options = append(options, host.WithTracer(s.tracer))
	}
	return host.Open(ctx, slab, options...)
}
