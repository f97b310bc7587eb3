package prometheus

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/host"
)

func TestWhatIsShown(t *testing.T) {
	m := New()
	m.InFlight(3)
	m.Answered(host.Answer{Status: 200, Mode: "aggregated", Images: 1, Passes: 4, Duration: 3 * time.Millisecond})
	m.Answered(host.Answer{Status: 200, Mode: "single", Images: 2, Passes: 1, Duration: time.Millisecond})
	m.Answered(host.Answer{Status: 429, Duration: time.Microsecond})
	server := httptest.NewServer(m)
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"quarterturn_requests_in_flight 3",
		`quarterturn_requests_total{status="200"} 2`,
		`quarterturn_requests_total{status="429"} 1`,
		"quarterturn_passes_total 5",
		"quarterturn_images_total 3",
		`quarterturn_request_seconds_count{mode="aggregated"} 1`,
		`quarterturn_request_seconds_bucket{mode="aggregated",le="0.004"} 1`,
		"go_goroutines ",
	} {
		if !strings.Contains(string(b), "\n"+line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
}
