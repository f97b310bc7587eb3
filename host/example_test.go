package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/www"
)

func Example() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model) // any slab's bytes
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)

	img := image.NewNRGBA(image.Rect(0, 0, 64, 48)) // any image.Image
	img.Set(10, 10, color.White)
	p, err := c.Classify(ctx, img, host.WithMode(host.Aggregated), host.WithTopK(3))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Mode, p.Passes, len(p.Top), len(p.Logits))
	// Output: aggregated 4 3 10
}

// From the bytes of an image file to its answer.
func ExampleClassifier_ClassifyFile() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	var file bytes.Buffer // as it comes from a disk or over a network
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 32, 32))); err != nil {
		log.Fatal(err)
	}
	p, err := c.ClassifyFile(ctx, file.Bytes(), host.WithMode(host.Single))
	fmt.Println(p.Mode, err)
	_, err = c.ClassifyFile(ctx, []byte("Dear reader"))
	fmt.Println(errors.Is(err, imagefile.ErrNotImage))
	// Output:
	// single <nil>
	// true
}

// A server with deadlines, a bound on its connections, and an end that balancers see.
func ExampleNewServer() {
	c, err := host.Open(context.Background(), www.Model)
	if err != nil {
		log.Fatal(err)
	}
	service := host.NewService(c, host.WithTimeout(5*time.Second))
	server := host.NewServer(service, 5*time.Second)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(host.Bound(listener, 1024))

	// At the end: say so, wait until balancers have noticed, then stop listening.
	service.SetReady(false)
	time.Sleep(10 * time.Millisecond) // some seconds, behind a balancer
	if err := server.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := service.Swap(nil).Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
}

// The native engine computes the same bits as the sandboxed one.
func ExampleWithEngine() {
	ctx := context.Background()
	img := image.NewGray(image.Rect(0, 0, 32, 32))
	var digests []string
	for _, engine := range []host.Engine{host.Wazero, host.Native} {
		c, err := host.Open(ctx, www.Model, host.WithEngine(engine))
		if err != nil {
			log.Fatal(err)
		}
		p, err := c.Classify(ctx, img)
		if err != nil {
			log.Fatal(err)
		}
		digests = append(digests, p.Digest())
		c.Close(ctx)
	}
	fmt.Println(digests[0] == digests[1])
	// Output: true
}

func ExampleNewService() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	server := httptest.NewServer(host.NewService(c, host.WithMaxBody(1<<20), host.WithQueue(8)))
	defer server.Close()

	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 32, 32))); err != nil {
		log.Fatal(err)
	}
	answer, err := http.Post(server.URL+"/v1/classify?mode=single", "image/png", &file)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode, answer.Header.Get("Content-Type"))
	// Output: 200 application/json
}

// printer is a Tracer that prints; one for OpenTelemetry calls its Tracer.Start in
// the same place, and Span.RecordError and Span.End in end.
type printer struct{}

type depth struct{}

func (printer) Start(ctx context.Context, span string) (context.Context, func(error)) {
	n, _ := ctx.Value(depth{}).(int)
	fmt.Printf("%*s%s\n", 2*n, "", span)
	return context.WithValue(ctx, depth{}, n+1), func(err error) {
		if err != nil {
			fmt.Printf("%*s%s: %v\n", 2*n, "", span, err)
		}
	}
}

func ExampleWithTracer() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model, host.WithTracer(printer{}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Classify(ctx, image.NewGray(image.Rect(0, 0, 32, 32))); err != nil {
		log.Fatal(err)
	}
	// Output:
	// classify
	//   wait
	//   preprocess
	//   run
}

func ExampleClassifier_ClassifyBatch() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	images := []image.Image{image.NewGray(image.Rect(0, 0, 32, 32)), image.NewRGBA(image.Rect(0, 0, 64, 48))}
	predictions, err := c.ClassifyBatch(ctx, images)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(predictions), predictions[0].Passes)
	// Output: 2 1
}

// A gallery knows what it was shown.
func ExampleClassifier_NewGallery() {
	ctx := context.Background()
	c, err := host.Open(ctx, www.Model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)
	black, white := image.NewGray(image.Rect(0, 0, 32, 32)), image.NewUniform(color.White)
	g := c.NewGallery()
	for label, img := range map[string]image.Image{"night": black, "snow": crop{white}} {
		if err := g.Enrol(ctx, label, img); err != nil {
			log.Fatal(err)
		}
	}
	p, err := g.Classify(ctx, black)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Top[0].Label, p.Mode)
	// Output: night matched
}

// crop returns an image without ends some.
type crop struct{ image.Image }

func (crop) Bounds() image.Rectangle { return image.Rect(0, 0, 32, 32) }
