// Package guard holds the checks that stand before everything serve answers: which names
// it is asked under, which tokens are good, and what every answer's headers say.
package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/host"
)

// Hosts refuses requests, but for those about health, under names that are not in a list,
// which ParseHosts or DefaultHosts made: a page of somebody else's whose name was made to
// lead here (DNS rebinding) asks under its own. "*" allows every name.
func Hosts(next http.Handler, allowed []string) http.Handler {
	if slices.Contains(allowed, "*") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostname(r.Host)
		if !host.AsksHealth(r) && !slices.ContainsFunc(allowed, func(a string) bool { return a == name || a == AnyAddress && isAddress(name) }) {
			refuse(w, r, http.StatusMisdirectedRequest, "host", fmt.Sprintf("the name %.80q is not one of this server's; see --allowed-hosts", r.Host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// AnyAddress stands for every IP address in a list of hosts. An address cannot be
// rebound as a name can.
const AnyAddress = "any IP address"

// DefaultHosts are the names under which a server that listens on addr is asked: those
// of the loopback interface, and the host that addr names, or any address if it names
// none.
func DefaultHosts(addr string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	host, _, err := net.SplitHostPort(addr)
	if ip, bad := netip.ParseAddr(host); err == nil && (host == "" || bad == nil && ip.IsUnspecified()) {
		return append(hosts, AnyAddress)
	}
	return append(hosts, hostname(addr))
}

// hostname returns a Host header's name, without port, brackets, the root's dot and case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

var dnsName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)

// ParseHosts reads a list of names for Hosts: host names, IP addresses and "*". It refuses
// what no request's name could be equal to.
func ParseHosts(list []string) ([]string, error) {
	var hosts []string
	for _, text := range list {
		name := strings.TrimSpace(text)
		if name != "*" && !dnsName.MatchString(name) && !isAddress(strings.Trim(name, "[]")) {
			return nil, fmt.Errorf("%q is not a host's name or address; write it as shop.example, without scheme, port and path", text)
		}
		hosts = append(hosts, hostname(name))
	}
	return hosts, nil
}

var origin = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([a-z0-9._*-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

// ParseOrigins reads a list of origins as browsers write them (RFC 6454), with one * in
// each at most. It refuses what no browser's could be equal to.
func ParseOrigins(list []string) ([]string, error) {
	var origins []string
	for _, text := range list {
		o := strings.ToLower(strings.TrimSpace(text))
		m := origin.FindStringSubmatch(o)
		switch {
		case o == "*" || o == "null":
		case m == nil || strings.Count(o, "*") > 1:
			return nil, fmt.Errorf("%q is not an origin; write it as https://shop.example, without a path and a / at its end", text)
		case m[1] == "http" && m[3] == ":80", m[1] == "https" && m[3] == ":443":
			return nil, fmt.Errorf("%q: browsers leave the port out that is its scheme's own; so leave out %s", text, m[3])
		}
		origins = append(origins, o)
	}
	return origins, nil
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// Tokens holds the bearer tokens that are good, as their SHA-256.
type Tokens [][sha256.Size]byte

// ParseTokens reads a file of tokens, one a line; blank lines do not count, and neither does
// the mark that Windows begins files of UTF-8 with.
func ParseTokens(text []byte) (Tokens, error) {
	var t Tokens
	text, err := plain.Text(text)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimSpace(line); {
		case line == "":
		case strings.ContainsAny(line, " \t"):
			return nil, fmt.Errorf("a token has a blank in it")
		case strings.ContainsFunc(line, unicode.IsControl):
			return nil, fmt.Errorf("a token has a character in it that no header can carry; is the file in UTF-8?")
		default:
			t = append(t, sha256.Sum256([]byte(line)))
		}
	}
	if t == nil {
		return nil, fmt.Errorf("there is no token in it")
	}
	return t, nil
}

// good compares in the same time whatever the token is.
func (t Tokens) good(token string) bool {
	sum := sha256.Sum256([]byte(token))
	found := 0
	for _, want := range t {
		found |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return found == 1
}

// Bearer refuses requests without one of the tokens that current returns, but for those
// that ask whether the server lives and is ready.
func Bearer(next http.Handler, current func() Tokens) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host.AsksHealth(r) {
			next.ServeHTTP(w, r)
			return
		}
		if len(r.Header.Values("Authorization")) > 1 {
			refuse(w, r, http.StatusBadRequest, "parameter", "the header Authorization is there twice")
			return
		}
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !current().good(strings.TrimSpace(token)) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, r, http.StatusUnauthorized, "token", "this server wants a token it knows: Authorization: Bearer TOKEN")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Headers sets what every answer says unless its handler knows better.
func Headers(next http.Handler, policy string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "SAMEORIGIN") // for browsers that do not know frame-ancestors
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// ReadOnly refuses methods that are not for reading.
func ReadOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, r, http.StatusMethodNotAllowed, "method", r.URL.Path+" takes GET, not "+r.Method)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers in the form of the service's own errors, which under /v2 is that of KServe's
// protocol.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	var e any = map[string]string{"code": code, "message": message}
	if r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/") {
		e = message
	}
	b, _ := json.Marshal(map[string]any{"error": e}) // strings have JSON
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if r.ContentLength != 0 {
		h.Set("Connection", "close") // net/http would wait for the body before it answers
	}
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // a client that is gone cannot be told
}
