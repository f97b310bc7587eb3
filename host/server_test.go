package host

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Clients that ask for much and never read give way when connections run out, and those
// that read slowly do not.
func TestBoundClosesThoseThatDoNotRead(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const size = 16 << 20 // more than all buffers on the way
	began := make(chan bool, 100)
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			began <- true
			w.Write(make([]byte, size))
		}
	}), 5*time.Minute)
	server.Listener = Bound(server.Listener, 3)
	server.Start()
	t.Cleanup(server.Close) // when the connections are closed
	ask := func(path string, edit func(*net.TCPConn) error) net.Conn {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := edit(conn.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for range 3 { // one after the other, without waiting
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		}
		return conn
	}
	asItIs := func(*net.TCPConn) error { return nil }
	never := func(conn *net.TCPConn) error { return conn.SetReadBuffer(4 << 10) }
	// Those that never read are stuck first, and so for longer than the other, however slow the machine is.
	ask("/large", never)
	ask("/large", never)
	for range 2 {
		<-began
	}
	steady := ask("/large", asItIs)
	read, answered := make(chan error, 1), make(chan struct{})
	go func() { // slowly until the others are answered, and then faster
		_, err := io.CopyN(io.Discard, steady, 1<<20)
		for n := 0; n < 1000 && err == nil; n++ {
			select {
			case <-answered:
				n = 1000
			case <-time.After(20 * time.Millisecond):
			}
			_, err = io.CopyN(io.Discard, steady, 64<<10)
		}
		if err == nil {
			_, err = io.CopyN(io.Discard, steady, size)
		}
		read <- err
	}()
	<-began
	for range 2 {
		answer, err := http.ReadResponse(bufio.NewReader(ask("/small", asItIs)), nil)
		if err != nil || answer.StatusCode != 200 {
			t.Errorf("beside them: %v %v", answer, err)
		}
	}
	close(answered)
	if err := <-read; err != nil {
		t.Errorf("the one that reads: %v", err)
	}
}

// The deadline counts from a request's first byte, and not from its connection's
// beginning: browsers open TLS connections before they need them.
func TestDeadlineOverTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const d = 2 * time.Second
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(nil)
			server.Config = NewServer(NewService(open(t, tinySlab(t, 1)), WithTimeout(d)), d)
			server.Listener = Bound(server.Listener, 10)
			server.StartTLS()
			defer server.Close()
			conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			file := pngOf(t, noise(1, 9, 9)[0])
			r := bufio.NewReader(conn)
			for range 2 { // the second over a connection that is idle
				time.Sleep(d * 5 / 8)
				fmt.Fprintf(conn, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(file))
				time.Sleep(d * 5 / 8)
				if _, err := conn.Write(file); err != nil {
					t.Fatal(err)
				}
				if status, _, got := status(t, r); status != 200 {
					t.Errorf("%d %+v", status, got)
				}
			}
			// And from its first byte.
			fmt.Fprint(conn, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
			if status, _, got := status(t, r); status != http.StatusRequestTimeout {
				t.Errorf("without a body: %d %+v", status, got)
			}
		})
	}
}
