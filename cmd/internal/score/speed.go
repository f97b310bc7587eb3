package score

import (
	"fmt"
	"time"
)

// A Speed is how fast a run went, from its start to its last line, listing included.
type Speed struct {
	ImagesPerSecond float64 `json:"images_per_second"`
	// Cores times hours that a million images take at this speed, which says what they cost. It counts
	// all cores that the run may use; 0: how many is not known.
	CoreHoursPerMillion float64 `json:"core_hours_per_million_images,omitempty"`

	cores int
}

// SpeedOf returns the speed of a run over at least one image, on so many cores; 0: not known.
func SpeedOf(images int, took time.Duration, cores int) *Speed {
	perSecond := float64(images) / took.Seconds()
	return &Speed{perSecond, float64(cores) / perSecond / 3600 * 1e6, cores}
}

// Sentence says it to people.
func (s *Speed) Sentence() string {
	if s.cores == 0 {
		return fmt.Sprintf("%.0f images/s", s.ImagesPerSecond)
	}
	return fmt.Sprintf("%.0f images/s on %d cores: %.2f core-hours a million images", s.ImagesPerSecond, s.cores, s.CoreHoursPerMillion)
}
