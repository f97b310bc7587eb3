// Package bucket reads files of object stores: s3://bucket/name and gs://bucket/name.
package bucket

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// A Store is what score reads from. Credentials come from where the tools of Amazon and
// Google look for them, too; without any, public buckets can be read. S3 means whatever
// AWS_ENDPOINT_URL names: Amazon's if it is not set.
type Store struct {
	mu      sync.Mutex
	clients map[string]*minio.Core // by scheme
	google  string                 // the address of Google's store
}

// New returns a Store.
func New() *Store {
	return &Store{clients: map[string]*minio.Core{}, google: "https://storage.googleapis.com"}
}

// List returns the addresses of the object of that address, if there is one, and of all below it.
func (s *Store) List(ctx context.Context, address string) ([]string, error) {
	c, bucket, key, err := s.open(ctx, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing if it is left early
	root := strings.TrimSuffix(strings.TrimSuffix(address, key), "/") + "/"
	below := key
	if key != "" && !strings.HasSuffix(key, "/") {
		below += "/"
	}
	var found []string
	for o := range c.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: key, Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		folder := strings.HasSuffix(o.Key, "/") // an empty object that stands for one
		if !folder && (o.Key == key || strings.HasPrefix(o.Key, below)) {
			found = append(found, root+o.Key)
		}
	}
	return found, nil
}

// Open opens an object.
func (s *Store) Open(ctx context.Context, address string) (io.ReadCloser, error) {
	c, bucket, key, err := s.open(ctx, address)
	if err != nil {
		return nil, err
	}
	r, _, _, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if code := minio.ToErrorResponse(err).Code; code == "NoSuchKey" || code == "NoSuchBucket" {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return r, nil
}

// badAddress is the error of what can be no object's address, in words.
type badAddress string

func (e badAddress) Error() string      { return string(e) }
func (badAddress) Is(target error) bool { return target == fs.ErrInvalid }

// open returns the client for an address, and its parts.
func (s *Store) open(ctx context.Context, address string) (c *minio.Core, bucket, key string, err error) {
	scheme, rest, _ := strings.Cut(address, "://")
	bucket, key, _ = strings.Cut(rest, "/")
	if bucket == "" {
		return nil, "", "", badAddress("the address names no bucket; want " + scheme + "://bucket/name")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[scheme] == nil {
		var client *minio.Client
		switch scheme {
		case "s3":
			client, err = amazon()
		case "gs":
			client, err = s.googles(ctx)
		default:
			err = badAddress(scheme + ":// is not read here; want a local file, s3:// or gs://")
		}
		if err != nil {
			return nil, "", "", err
		}
		s.clients[scheme] = &minio.Core{Client: client}
	}
	return s.clients[scheme], bucket, key, nil
}

func amazon() (*minio.Client, error) {
	return client(cmp.Or(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3.amazonaws.com"), &minio.Options{
		Region: cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{},
			&credentials.FileAWSCredentials{},
			&credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}},
		}),
	})
}

// googles returns a client of Google's store. It speaks the protocol of S3, and takes
// tokens of Google's in place of signatures.
func (s *Store) googles(ctx context.Context) (*minio.Client, error) {
	base, err := minio.DefaultTransport(strings.HasPrefix(s.google, "https"))
	if err != nil {
		return nil, err
	}
	o := &minio.Options{Region: "auto", Transport: base, Creds: credentials.NewStaticV4("", "", "")}
	// The error says that there are no credentials, or that the file that was named is broken.
	found, err := google.FindDefaultCredentials(context.WithoutCancel(ctx), "https://www.googleapis.com/auth/devstorage.read_only")
	switch {
	case err == nil:
		o.Transport = &oauth2.Transport{Source: found.TokenSource, Base: base}
	case os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") != "":
		return nil, err
	}
	return client(s.google, o)
}

// client returns a client for an address such as https://host.
func client(address string, o *minio.Options) (*minio.Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("the address of the object store, %q, is not like https://host", address)
	}
	o.Secure = u.Scheme == "https"
	return minio.New(u.Host, o)
}
