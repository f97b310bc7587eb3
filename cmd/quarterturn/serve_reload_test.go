//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writeCertificate writes a certificate with such a number, and its key.
func writeCertificate(t *testing.T, cert, key string, number int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	public, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// until waits for something that is about to happen.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for range 1000 {
		if happened() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it does not come to this: %s", what)
}

// SIGHUP reads tokens and certificate again, whatever has become of the slab's file.
func TestServeReloads(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	at := folder(t)
	writeCertificate(t, at("cert"), at("key"), 1)
	if err := os.WriteFile(at("tokens"), []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, nil, at("tiny.slab"), "--tls-cert", at("cert"), "--tls-key", at("key"), "--token-file", at("tokens"))
	ask := func(token string) (status int, number int64) {
		web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		r, err := http.NewRequest("GET", s.base+"v1/model", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode, answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if status, number := ask("first"); status != 200 || number != 1 {
		t.Fatalf("%d, certificate %d", status, number)
	}
	writeCertificate(t, at("cert"), at("key"), 2)
	if err := os.WriteFile(at("tokens"), []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(at("tiny.slab")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("tiny.slab"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	until(t, "the second token", func() bool { status, _ := ask("second"); return status == 200 })
	until(t, "the second certificate", func() bool { _, number := ask(""); return number == 2 })
	until(t, "no word of the pipe", func() bool { return strings.Contains(s.logged(), "not a regular file") })
	// What cannot be read leaves everything as it was.
	for _, name := range []string{"cert", "tokens"} {
		if err := os.WriteFile(at(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGHUP)
	until(t, "no word of the certificate", func() bool { return strings.Contains(s.logged(), "certificate was not read again") })
	if status, number := ask("second"); status != 200 || number != 2 {
		t.Errorf("after a bad one: %d, certificate %d", status, number)
	}
}

// SIGHUP ends nothing while slabs are being read: it is sent at the first word of them.
func TestServeHangupAtTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, "serve", "-v", "--addr", "127.0.0.1:0", folder(t)("tiny.slab"))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
		log.WriteString(scanner.Text() + "\n")
		if strings.Contains(scanner.Text(), "bytes, hash") && !strings.Contains(log.String(), "serving") {
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Error(err)
			}
		}
		if strings.Contains(scanner.Text(), "read again") { // as soon as it serves
			break
		}
	}
	if !strings.Contains(log.String(), "serving") || !strings.Contains(log.String(), "read again") {
		t.Errorf("the log:\n%s", &log)
	}
	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
}

// Nothing is said to serve before everything is there that it needs.
func TestServeChecksFirst(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	at := folder(t)
	writeCertificate(t, at("cert"), at("key"), 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--tls-cert", at("nothing"), "--tls-key", at("key")}, {"--tls-cert", at("key"), "--tls-key", at("key")}, {"--token-file", at("pipe")},
		{"--admin-addr", l.Addr().String()}, {"--model", at("pipe")},
	} {
		cmd := command(t.Context(), append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 || bytes.Contains(out, []byte("serving")) || bytes.Count(out, []byte("\n")) != 1 || !json.Valid(out) {
			t.Errorf("%q: %v %s", args, err, out)
		}
	}
}
