package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/guard"
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/readfile"
	"github.com/quarterturn/quarterturn/host"
)

// hangups tell of SIGHUP. What takes time, a slab, has one of its own, so that tokens and
// certificates do not wait for it.
type hangups struct{ secrets, slab chan os.Signal }

// watchHangups begins to do so, and SIGHUP no longer ends the process.
func watchHangups() hangups {
	h := hangups{make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(h.secrets, syscall.SIGHUP)
	signal.Notify(h.slab, syscall.SIGHUP)
	return h
}

func (h hangups) stop() {
	signal.Stop(h.secrets)
	signal.Stop(h.slab)
}

// onHangup does something at every signal until ctx ends.
func onHangup(ctx context.Context, hangup <-chan os.Signal, do func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			do()
		}
	}
}

// checkRegular refuses what SIGHUP could not have read again: a pipe would keep that waiting.
func checkRegular(name string) error {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file, and it is to be read again at SIGHUP", name)
	}
	return err
}

// readSecret reads a file of tokens, a certificate or a key.
func readSecret(name string) ([]byte, error) {
	if err := checkRegular(name); err != nil {
		return nil, err
	}
	return readfile.AtMost(name, 1<<20)
}

// readServed returns a slab's bytes and the model in them.
func readServed(name string) ([]byte, *format.Model, error) {
	if err := checkRegular(name); err != nil {
		return nil, nil, err
	}
	return readSlab(name)
}

// secrets are the tokens and the certificate that serve works with. Either may be missing.
type secrets struct {
	tokenFile, certFile, keyFile string

	tokens atomic.Pointer[guard.Tokens]
	pair   atomic.Pointer[tls.Certificate]
}

// goodTokens returns the tokens of the moment.
func (s *secrets) goodTokens() guard.Tokens { return *s.tokens.Load() }

// certificate returns the certificate of the moment, for tls.Config.
func (s *secrets) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.pair.Load(), nil
}

// readTokens reads the tokens. If it fails, those of before stay.
func (s *secrets) readTokens() error {
	if s.tokenFile == "" {
		return nil
	}
	text, err := readSecret(s.tokenFile)
	if err != nil {
		return err
	}
	tokens, err := guard.ParseTokens(text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.tokenFile, err)
	}
	s.tokens.Store(&tokens)
	return nil
}

// readCertificate reads the certificate and its key. If it fails, those of before stay.
func (s *secrets) readCertificate() error {
	if s.certFile == "" {
		return nil
	}
	cert, certErr := readSecret(s.certFile)
	key, keyErr := readSecret(s.keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", s.certFile, s.keyFile, err)
	}
	s.pair.Store(&pair)
	return nil
}

// reload reads both again.
func (s *secrets) reload(log *slog.Logger) {
	if err := s.readTokens(); err != nil {
		log.Error("the tokens were not read again", "error", err)
	} else if s.tokenFile != "" {
		log.Info("read again", "file", s.tokenFile)
	}
	if err := s.readCertificate(); err != nil {
		log.Error("the certificate was not read again", "error", err)
	} else if s.certFile != "" {
		log.Info("read again", "file", s.certFile)
	}
}

// reload reads the first slab again. One that cannot be read changes nothing, and the page
// stays with the slabs it began with.
func (s *serveOptions) reload(ctx context.Context, service *host.Service, log *slog.Logger) {
	if len(s.models) == 0 {
		log.Info("SIGHUP: the slab that comes with the program stays")
		return
	}
	slab, m, err := readServed(s.models[0])
	var c *host.Classifier
	if err == nil {
		c, err = s.open(ctx, slab)
	}
	if err != nil {
		log.Error("the slab was not read again", "file", s.models[0], "error", err)
		return
	}
	old := service.Swap(c)
	log.Info("read again", "file", s.models[0], "hash", format.Hex(m.Hash[:]))
	if err := old.Close(ctx); err != nil && ctx.Err() == nil {
		log.Error("closing the slab before", "error", err)
	}
}
