// Command service is a web service of your own around a slab: pictures that people
// upload are sorted into queues by what they show, and what the net is not sure of goes
// to a person.
//
//	go run ./docs/examples/service model.slab
//	curl --data-binary @picture.jpg http://127.0.0.1:8081/sort
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "address to listen on")
	sure := flag.Float64("sure", 0.8, "least probability that needs no person")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), *addr, float32(*sure)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, file, addr string, sure float32) error {
	slab, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	// The slab runs in a sandbox, in at most 256 MB for all requests together.
	classifier, err := host.Open(ctx, slab, host.WithPoolMemory(256<<20))
	if err != nil {
		return err
	}
	defer classifier.Close(context.WithoutCancel(ctx))

	mux := http.NewServeMux()
	mux.HandleFunc("POST /sort", func(w http.ResponseWriter, r *http.Request) { sort(w, r, classifier, sure) })
	// What `quarterturn serve` answers is there too, under its own path.
	mux.Handle("/v1/", host.NewService(classifier))

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	log.Printf("listening on http://%s/", listener.Addr())
	server := &http.Server{Handler: mux, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// sort answers with the queue of a picture.
func sort(w http.ResponseWriter, r *http.Request, c *host.Classifier, sure float32) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		http.Error(w, "the picture is larger than 16 MB", http.StatusRequestEntityTooLarge)
		return
	}
	p, err := c.ClassifyFile(r.Context(), body, host.WithTopK(1))
	switch {
	case errors.Is(err, imagefile.ErrNotImage):
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	case err != nil:
		log.Print(err)
		http.Error(w, "the picture could not be classified", http.StatusInternalServerError)
		return
	}
	queue := p.Top[0].Label
	if p.Top[0].Probability < sure {
		queue = "ask a person"
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"queue": queue, "label": p.Top[0].Label, "probability": p.Top[0].Probability})
}
