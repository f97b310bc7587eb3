package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quarterturn/quarterturn/www"
)

// A browser is one that can be started without a window.
type browser struct {
	name      string
	programs  []string // names it has on some systems
	arguments func(profile string) []string
	settings  string // of the profile, in prefs.js
}

var chromiumBrowser = &browser{
	name:     "chromium",
	programs: []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"},
	arguments: func(profile string) []string {
		args := []string{"--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--disable-quic", "--user-data-dir=" + profile}
		if os.Geteuid() == 0 {
			args = append(args, "--no-sandbox") // Chromium refuses to run as root otherwise
		}
		return args
	},
}

var firefoxBrowser = &browser{
	name:     "firefox",
	programs: []string{"firefox-esr", "firefox"},
	arguments: func(profile string) []string {
		return []string{"--headless", "--no-remote", "--profile", profile}
	},
	settings: `user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("app.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
`,
}

func (b *browser) find() (string, error) {
	for _, name := range b.programs {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; install it, or leave this target out of --targets", b.name)
}

// visit opens a page of a folder in a browser and returns what the page posts to /result. A
// page that fails posts the reason to /error.
func visit(ctx context.Context, b *browser, dir, page string) ([]byte, error) {
	program, err := b.find()
	if err != nil {
		return nil, err
	}
	type reply struct {
		b   []byte
		err error
	}
	replies := make(chan reply, 1)
	mux := http.NewServeMux()
	static := http.FileServer(http.Dir(dir))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", www.ContentType(r.URL.Path))
		static.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /{kind}", func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if r.PathValue("kind") == "error" && err == nil {
			err = errors.New(string(b))
		}
		select {
		case replies <- reply{b, err}:
		default: // only the first counts
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: mux}
	go server.Serve(listener) // ends with Close
	defer server.Close()

	profile, err := os.MkdirTemp("", "quarterturn-"+b.name+"-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(profile)
	if b.settings != "" {
		if err := os.WriteFile(filepath.Join(profile, "prefs.js"), []byte(b.settings), 0o600); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(b.arguments(profile), "http://"+listener.Addr().String()+"/"+page)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case r := <-replies:
		return r.b, r.err
	case err := <-ended:
		ended <- err
		return nil, fmt.Errorf("%s ended without an answer: %s", b.name, lastLine(stderr.String()))
	case <-ctx.Done():
		return nil, fmt.Errorf("%s gave no answer: %w", b.name, context.Cause(ctx))
	}
}
