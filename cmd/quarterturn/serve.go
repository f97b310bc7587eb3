package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/prometheus"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/www"
)

const defaultAddress = "127.0.0.1:8080"

// serveOptions are the settings of serve.
type serveOptions struct {
	models    []string // files; none: the slab that comes with the program
	addr      string
	cert, key string
	pprof     bool
	workers   int
	queue     int
	timeout   time.Duration
}

func serveCommand() *cobra.Command {
	var s serveOptions
	var chosen slabArgs
	cmd := &cobra.Command{
		Use:   "serve [SLAB...]",
		Short: "Serve a page that classifies in the browser, and classify over HTTP",
		Long: "Serve a page that classifies pictures in the browser, with slabs of yours, of which a visitor chooses one, or\n" +
			"else with one that comes with the program and knows the ten classes of CIFAR-10.\n\n" +
			"The first slab also classifies here: POST an image to /v1/classify, with ?mode=.. and ?top=.. as you like; GET\n" +
			"/v1/model, /v1/openapi.json, /healthz and /metrics (Prometheus). SIGHUP reads the first slab again and drops no\n" +
			"request; SIGTERM and Ctrl-C let those under way end.",
		Example: "  quarterturn serve\n" +
			"  quarterturn serve run/model.slab --addr 0.0.0.0:8080\n" +
			"  curl --data-binary @picture.png 'http://127.0.0.1:8080/v1/classify?mode=aggregated&top=3'",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if s.models, err = chosen.all(args); err != nil {
				return err
			}
			if (s.cert == "") != (s.key == "") {
				return usageError{errors.New("--tls-cert and --tls-key go together")}
			}
			slabs := [][]byte{www.Model}
			if len(s.models) > 0 {
				slabs = nil
			}
			for _, name := range s.models {
				slab, _, err := readSlab(name)
				if err != nil {
					return err
				}
				slabs = append(slabs, slab)
			}
			listener, err := listen(s.addr)
			if err != nil {
				return err
			}
			return s.serve(cmd.Context(), listener, slabs)
		},
	}
	f := cmd.Flags()
	chosen.add(f, "a `slab`, several times for several; without it, the one that comes with the program")
	f.StringVar(&s.addr, "addr", defaultAddress, "address to listen on")
	f.StringVar(&s.cert, "tls-cert", "", "serve https with this certificate")
	f.StringVar(&s.key, "tls-key", "", "and this key")
	f.IntVar(&s.workers, "workers", 0, "images classified at a time; 0: one a processor")
	f.IntVar(&s.queue, "queue", 64, "requests that may wait; more are answered with 429")
	f.DurationVar(&s.timeout, "timeout", 10*time.Second, "time for an answer; then 504")
	f.BoolVar(&s.pprof, "pprof", false, "profiles at /debug/pprof/")
	return cmd
}

// serve answers on listener, which it closes, until ctx ends.
func (s *serveOptions) serve(ctx context.Context, listener net.Listener, slabs [][]byte) error {
	defer listener.Close() // a second close, after the server's, is an error that nobody needs
	var models []www.Shown
	for _, slab := range slabs {
		samples, err := samplesFor(slab)
		if err != nil {
			return err
		}
		models = append(models, www.Shown{Slab: slab, Samples: samples})
	}
	page, err := www.Handler(models)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	} else if quiet {
		level = slog.LevelWarn
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	classifier, err := s.open(ctx, slabs[0])
	if err != nil {
		return err
	}
	metrics := prometheus.New()
	service := host.Handler(classifier, host.WithMetrics(metrics), host.WithLogger(log), host.WithQueue(s.queue), host.WithTimeout(s.timeout))
	defer func() {
		if err := service.Swap(nil).Close(context.WithoutCancel(ctx)); err != nil {
			log.Error("closing", "error", err)
		}
	}()
	go s.reload(ctx, service, log)

	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.Handle("/v1/", service)
	mux.Handle("/healthz", service)
	mux.Handle("/metrics", metrics)
	if s.pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	failed := make(chan error, 1)
	scheme := "http"
	if s.cert != "" {
		scheme = "https"
		go func() { failed <- server.ServeTLS(listener, s.cert, s.key) }()
	} else {
		go func() { failed <- server.Serve(listener) }()
	}
	note("serving %s (stop with Ctrl-C)", browserURL(scheme, listener.Addr()))
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	service.Drain()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout+5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
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
	return host.Open(ctx, slab, options...)
}

// reload reads the first slab again at every SIGHUP. What cannot be opened changes
// nothing. The page goes on with the slabs it began with.
func (s *serveOptions) reload(ctx context.Context, service *host.Service, log *slog.Logger) {
	if len(s.models) == 0 {
		return
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		slab, m, err := readSlab(s.models[0])
		var c *host.Classifier
		if err == nil {
			c, err = s.open(ctx, slab)
		}
		if err != nil {
			log.Error("the slab was not read again", "file", s.models[0], "error", err)
			continue
		}
		old := service.Swap(c)
		log.Info("read again", "file", s.models[0], "hash", format.Hex(m.Hash[:]))
		if err := old.Close(ctx); err != nil && ctx.Err() == nil {
			log.Error("closing the slab before", "error", err)
		}
	}
}

// samplesFor gives a picture of each class for slabs that know the classes of
// the embedded data set, and none for others.
func samplesFor(slab []byte) ([]www.Sample, error) {
	m, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	d, err := dataset.Load("fashion-mini")
	if err != nil || !slices.Equal(m.Labels, d.ClassNames) {
		return nil, err
	}
	var samples []www.Sample
	for y := range d.ClassNames {
		i := slices.Index(d.Test.Labels, y)
		var b bytes.Buffer
		if err := png.Encode(&b, d.Image(&d.Test, i)); err != nil {
			return nil, err
		}
		samples = append(samples, www.Sample{PNG: b.Bytes(), Label: d.ClassNames[y]})
	}
	return samples, nil
}
