package score

import (
	"encoding/json"
	"testing"
	"time"
)

// A million images at 500 a second are 2,000 seconds, which on nine cores are five core-hours.
func TestSpeed(t *testing.T) {
	for _, c := range []struct {
		speed      *Speed
		text, json string
	}{
		{SpeedOf(1000, 2*time.Second, 9), "500 images/s on 9 cores: 5.00 core-hours a million images", `{"images":1000,"bad":0,"resumed":0,"images_per_second":500,"core_hours_per_million_images":5}`},
		{SpeedOf(1000, 2*time.Second, 0), "500 images/s", `{"images":1000,"bad":0,"resumed":0,"images_per_second":500}`},
	} {
		b, err := json.Marshal(Report{Images: 1000, Speed: c.speed})
		if err != nil || c.speed.Sentence() != c.text || string(b) != c.json {
			t.Errorf("%v, %q, %s", err, c.speed.Sentence(), b)
		}
	}
}
