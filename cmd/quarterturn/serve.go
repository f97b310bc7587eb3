package main

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/www"
)

const defaultAddress = "127.0.0.1:8080"

func serveCommand() *cobra.Command {
	var model, addr string
	cmd := &cobra.Command{
		Use:   "serve [--model F]",
		Short: "Serve a page that classifies in the browser",
		Long: "Serve a page that classifies pictures in the browser, with a slab of yours or else with one that comes with\n" +
			"the program and knows the ten classes of CIFAR-10.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			slab := www.Model
			m, err := format.Decode(slab)
			if model != "" {
				slab, m, err = readSlab(model)
			}
			if err != nil {
				return err
			}
			return serve(cmd.Context(), slab, m, addr)
		},
	}
	f := cmd.Flags()
	f.StringVar(&model, "model", "", "the slab; without it, the one that comes with the program")
	f.StringVar(&addr, "addr", defaultAddress, "address to listen on")
	return cmd
}

// serve serves the page until ctx ends.
func serve(ctx context.Context, slab []byte, m *format.Model, addr string) error {
	samples, err := samplesFor(m)
	if err != nil {
		return err
	}
	handler, err := www.Handler(slab, samples)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	note("serving http://%s/ (stop with Ctrl-C)", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// samplesFor gives a picture of each class for slabs that know the classes of
// the embedded data set, and none for others.
func samplesFor(m *format.Model) ([]www.Sample, error) {
	d, err := trainer.Load("fashion-mini")
	if err != nil || !slices.Equal(m.Labels, d.Labels) {
		return nil, err
	}
	var samples []www.Sample
	for y := range d.Labels {
		i := slices.Index(d.Test.Classes, y)
		var b bytes.Buffer
		if err := png.Encode(&b, d.Image(&d.Test, i)); err != nil {
			return nil, err
		}
		samples = append(samples, www.Sample{PNG: b.Bytes(), Label: d.Labels[y]})
	}
	return samples, nil
}
