package trainer

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// NoSlab is what Config.From says to start from nothing, as if it were empty.
const NoSlab = "none"

// skewed is how many times the images of the smallest class the largest has, for the scores
// to count every class alike.
const skewed = 3

// methodFlags name the settings by which somebody chooses a method, or one that not every
// method knows.
var methodFlags = []string{"method", "sum-views", "stage-heads", "transform", "temperature", "beta", "serve", "teacher"}

// MethodIsOpen tells whether a plan may choose the method: no flag was given that does.
func MethodIsOpen(given func(flag string) bool) bool { return !slices.ContainsFunc(methodFlags, given) }

// LoadFolder reads an image folder for a net that starts from what Config.From says, and unless
// a size was given chooses it: that of the slab, else by the images. It is noted in source.
func LoadFolder(ctx context.Context, source *dataset.Source, from string, given func(flag string) bool) (*dataset.Dataset, error) {
	open := source.Size == 0
	if from = cmp.Or(from, FromBackbone); open && from != NoSlab && !given("net") {
		m, _, err := OpenFrom(from)
		if err != nil {
			return nil, err
		}
		if source.Size = m.Input.Width; source.Size < dataset.MinSize || source.Size > dataset.MaxSize {
			return nil, fmt.Errorf("the slab to start from, %s, is for images of %d pixels a side, and training takes %d to %d; give another slab, --size, or --from none",
				from, source.Size, dataset.MinSize, dataset.MaxSize)
		}
	}
	d, err := source.Load(ctx)
	if err == nil && d.Channels == 1 && open && !given("from") { // Choose has no slab for them
		source.Size = 0
		d, err = source.Load(ctx)
	}
	if err == nil {
		source.Size = d.Width
	}
	return d, err
}

// Choose returns settings for a data set: a recipe, of a length and with what else goes with
// the images. given tells of a setting, by the name of its flag, whether it was given, in c;
// From, Net and Minutes are then as there, and all the others are for the caller to put
// back. why says in lines for people what was chosen and why.
func Choose(d *dataset.Dataset, c Config, given func(flag string) bool) (chosen Config, why []string) {
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	counts := d.Train.Counts(len(d.ClassNames))
	n, least, most := 0, slices.Min(counts), slices.Max(counts)
	if limit := c.TrainPerClass; limit > 0 {
		least, most = min(least, limit), min(most, limit)
	}
	for _, count := range counts {
		n += min(count, most)
	}

	switch {
	case given("from"):
	case given("net"):
		c.From = NoSlab
	case d.Channels == 3:
		c.From = FromBackbone
		say("--from backbone: the images are in colour, and what the net that comes along has learned of others helps (--from none starts from nothing)")
	default:
		c.From = NoSlab
		say("--from none: the images are grey, and the net that comes along is for colours")
	}
	from, minutes, epochs := c.From, c.Minutes, given("epochs")
	if from == NoSlab {
		if !given("size") {
			say("--size %d: by how many pixels most images have across", d.Width)
		}
		if c = ConfigFor(c.Net); !epochs && MethodIsOpen(given) {
			c.Method = AutoMethod
		}
	} else {
		c = fineTuneConfig()
	}
	if c.From, c.Minutes = from, minutes; !given("minutes") && !epochs {
		c.Minutes = 5
	}
	if !epochs {
		c.Epochs = 0
		if !given("net") {
			c.Net = ""
		}
		limit := Saturated
		if c.From != NoSlab {
			limit = min(60, max(10, int(30*math.Sqrt(300/float64(n)))))
		}
		c.MaxEpochs = limit
		say("--minutes %g, but at most %d epochs: %d images are learned by then", c.Minutes, limit, n)
	}
	if !given("batch") {
		switch trained := max(2, n-n/10); { // what is not held out
		case trained < 64:
			c.BatchSize = max(2, trained/4)
			say("--batch %d: there are few images", c.BatchSize)
		case c.From != NoSlab:
			c.BatchSize = min(32, trained/4)
		case trained < 160:
			c.BatchSize = 16
		}
	}
	if most >= skewed*least && !given("drw") && !given("loss") {
		c.DRW, c.Balanced = true, true
		y, z := slices.Index(counts, most), slices.Index(counts, least)
		say("--drw, and scores that count every class alike: there are %d images of %s and %d of %s", most, d.ClassNames[y], least, d.ClassNames[z])
	}
	return c, why
}

// fineTuneConfig is the recipe of a net that starts from a slab.
func fineTuneConfig() Config {
	c := DefaultConfig()
	c.Net, c.LR, c.WeightDecay, c.Nesterov, c.BatchSize, c.HeldOut = "", 0.02, 5e-4, true, 32, 1000
	return c
}
