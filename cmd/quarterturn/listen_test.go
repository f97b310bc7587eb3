package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A port in use is an error before anything is trained or written.
func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out := filepath.Join(t.TempDir(), "run")
	for _, args := range [][]string{{"demo", "--out", out}, {"serve"}} {
		stdout, stderr, code := runCommand(t, append(args, "--addr", l.Addr().String())...)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "choose another port with --addr") {
			t.Errorf("%s: exit code %d, %q, %q", args[0], code, stdout, stderr)
		}
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("demo began its run: %v", err)
	}
}

// What is printed can be put into a browser, whatever interface was listened on.
func TestBrowserURL(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:80":      "http://localhost:80/",
		"[::]:8080":       "http://localhost:8080/",
		"127.0.0.1:8080":  "http://127.0.0.1:8080/",
		"192.0.2.7:8080":  "http://192.0.2.7:8080/",
		"[2001:db8::1]:1": "http://[2001:db8::1]:1/",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := browserURL("http", tcp); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
