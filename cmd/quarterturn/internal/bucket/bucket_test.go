package bucket

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// objects are what the fake store has in its bucket, by their names.
var objects = map[string]string{
	"a.png": "one", "photos/b.jpg": "two", "photos/deep/c d+ä%2F.jpg": "three", "photos/": "", "photos-of-others/d.jpg": "four",
}

// serve starts a fake of S3 with the bucket pictures; authorised looks at the header of each request.
func serve(t *testing.T, authorised func(string) bool) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("pictures"); err != nil {
		t.Fatal(err)
	}
	for name, text := range objects {
		if _, err := backend.PutObject("pictures", name, map[string]string{"Last-Modified": "Mon, 02 Nov 2026 15:04:05 GMT"}, strings.NewReader(text), int64(len(text)), nil); err != nil {
			t.Fatal(err)
		}
	}
	store := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authorised(r.Header.Get("Authorization")) {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>not like this</Message></Error>")
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func check(t *testing.T, s *Store, scheme string) {
	t.Helper()
	root := scheme + "://pictures"
	for address, want := range map[string][]string{
		root:              {"/a.png", "/photos-of-others/d.jpg", "/photos/b.jpg", "/photos/deep/c d+ä%2F.jpg"},
		root + "/":        {"/a.png", "/photos-of-others/d.jpg", "/photos/b.jpg", "/photos/deep/c d+ä%2F.jpg"},
		root + "/photos":  {"/photos/b.jpg", "/photos/deep/c d+ä%2F.jpg"},
		root + "/photos/": {"/photos/b.jpg", "/photos/deep/c d+ä%2F.jpg"},
		root + "/a.png":   {"/a.png"},
		root + "/phot":    nil,
	} {
		got, err := s.List(t.Context(), address)
		slices.Sort(got)
		for i := range want {
			want[i] = root + want[i]
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", address, got, err, want)
		}
	}
	for name, want := range objects {
		r, err := s.Open(t.Context(), root+"/"+name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := s.Open(t.Context(), root+"/none.png"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an object that is not there: %v", err)
	}
	if _, err := s.List(t.Context(), scheme+"://none"); err == nil || !strings.Contains(err.Error(), "bucket") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

func TestS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "KEY")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ENDPOINT_URL", serve(t, func(header string) bool {
		return strings.HasPrefix(header, "AWS4-HMAC-SHA256 Credential=KEY/") && strings.Contains(header, "/eu-central-1/s3/")
	}))
	check(t, New(), "s3")
}

// With a service account, whose token comes from the address in its file.
func TestGoogle(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	defer tokens.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "robot@example.com", "private_key_id": "1", "token_uri": tokens.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	s := New()
	s.google = serve(t, func(header string) bool { return header == "Bearer a-token" })
	check(t, s, "gs")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file+".missing")
	if _, err := New().List(t.Context(), "gs://pictures"); err == nil || !strings.Contains(err.Error(), ".missing") {
		t.Errorf("a file of credentials that is not there: %v", err)
	}
}

func TestBadAddresses(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "host-alone")
	for address, want := range map[string]string{
		"https://host/a.png": "https:// is not read here; want a local file, s3:// or gs://",
		"s3:///a.png":        "the address names no bucket",
		"s3://pictures":      `the address of the object store, "host-alone", is not like https://host`,
	} {
		_, err := New().List(t.Context(), address)
		if settings := strings.Contains(want, "host-alone"); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, fs.ErrInvalid) == settings {
			t.Errorf("%s: %v", address, err)
		}
	}
}
