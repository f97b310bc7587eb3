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
	var models []string
	var addr string
	cmd := &cobra.Command{
		Use:   "serve [--model F]",
		Short: "Serve a page that classifies in the browser",
		Long: "Serve a page that classifies pictures in the browser, with slabs of yours, of which a visitor chooses one, or\n" +
			"else with one that comes with the program and knows the ten classes of CIFAR-10.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			slabs := [][]byte{www.Model}
			if len(models) > 0 {
				slabs = nil
			}
			for _, name := range models {
				slab, _, err := readSlab(name)
				if err != nil {
					return err
				}
				slabs = append(slabs, slab)
			}
			return serve(cmd.Context(), slabs, addr)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&models, "model", nil, "a slab, several times for several; without it, the one that comes with the program")
	f.StringVar(&addr, "addr", defaultAddress, "address to listen on")
	return cmd
}

// serve serves the page until ctx ends.
func serve(ctx context.Context, slabs [][]byte, addr string) error {
	var models []www.Shown
	for _, slab := range slabs {
		samples, err := samplesFor(slab)
		if err != nil {
			return err
		}
		models = append(models, www.Shown{Slab: slab, Samples: samples})
	}
	handler, err := www.Handler(models)
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
func samplesFor(slab []byte) ([]www.Sample, error) {
	m, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
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
