package trainer

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"os"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
)

// checkpointFormat counts the changes of what a checkpoint holds.
const checkpointFormat = 2

// A checkpoint is all that a run needs to resume as if it had never stopped.
// Its file is a SHA-256 followed by the gob it covers.
type checkpoint struct {
	Format             int    // checkpointFormat
	Program            string // Tool
	Config             Config
	DataHash           [32]byte
	EpochStart, Source []byte // the random source, at the epoch's beginning and now
	Done, Epochs       int
	LossSum, Seconds   float64
	State, Velocities  [][]float32 // of the net, see graph.State, and the solver
	Average            [][]float32 // if weights are averaged
	Best               []byte      // the slab of the best epoch, if one is done
	Highest            float64     // served accuracy of any epoch
	Log                []byte      // metrics.jsonl, up to here
}

var errDataChanged = errors.New("the training images have changed since the run began; start anew")

func (r *run) checkpoint() (*checkpoint, error) {
	if err := r.graph.Pull(r.solver); err != nil {
		return nil, err
	}
	c := &checkpoint{Format: checkpointFormat, Program: Tool, Config: r.config, DataHash: r.dataHash, Done: r.done, Epochs: r.epochs, LossSum: r.lossSum, Seconds: r.elapsed(),
		State: r.graph.State(), Velocities: r.solver.Velocity, Best: r.best.slab, Highest: r.best.highest}
	if r.average != nil {
		c.Average = r.average.Values
	}
	var err error
	if c.EpochStart, err = r.epochStart.MarshalBinary(); err != nil {
		return nil, err
	}
	c.Source, err = r.source.MarshalBinary()
	return c, err
}

// restore puts a new run where the checkpoint was taken.
func (r *run) restore(c *checkpoint) error {
	if c.Format != checkpointFormat || c.Program != Tool {
		return fmt.Errorf("the checkpoint is of format %d, written by %s, and this is %s, of format %d: resume with that program, or start anew",
			c.Format, cmp.Or(c.Program, "an older program"), Tool, checkpointFormat)
	}
	was := c.Config
	was.Epochs, was.Steps = r.config.Epochs, r.config.Steps // which may grow
	if was != r.config {
		return errors.New("the checkpoint is of a run with another config.json; restore the file or start anew")
	}
	if c.DataHash != r.dataHash {
		return errDataChanged
	}
	if c.Done > r.steps() {
		return fmt.Errorf("the run is at step %d already, and %d epochs have %d", c.Done, r.config.Epochs, r.steps())
	}
	if r.config.Steps == 0 && c.Done < c.Epochs*r.stepsPerEpoch {
		return errors.New("the last epoch of the run was cut short, to end in the minutes it was given; it cannot get more")
	}
	if err := errors.Join(r.epochStart.UnmarshalBinary(c.EpochStart), r.source.UnmarshalBinary(c.Source)); err != nil {
		return fmt.Errorf("the checkpoint's random source: %w", err)
	}
	if err := overwrite(r.graph.State(), c.State); err != nil {
		return err
	}
	if r.average != nil {
		if err := overwrite(r.average.Values, c.Average); err != nil {
			return err
		}
		r.average.Steps = c.Done
	}
	if c.Best != nil {
		model, err := format.Decode(c.Best)
		if err != nil {
			return fmt.Errorf("the checkpoint's slab: %w", err)
		}
		r.best = bestEpoch{model, c.Best, max(c.Highest, servedAccuracy(model))}
	}
	r.solver.Velocity = c.Velocities
	r.done, r.epochs, r.lossSum, r.seconds = c.Done, c.Epochs, c.LossSum, c.Seconds
	if r.done > 0 { // the rate of the step before, which is logged if that ended an epoch
		r.solver.LR = r.config.LR * r.schedule((float64(r.done)-0.5)/float64(r.steps()))
	}
	return r.graph.Push(r.solver)
}

func overwrite(to, from [][]float32) error {
	if len(to) != len(from) {
		return errors.New("the checkpoint is of another net")
	}
	for i := range to {
		if len(to[i]) != len(from[i]) {
			return errors.New("the checkpoint is of another net")
		}
		copy(to[i], from[i])
	}
	return nil
}

func (c *checkpoint) write(name string) error {
	var b bytes.Buffer
	b.Write(make([]byte, sha256.Size))
	if err := gob.NewEncoder(&b).Encode(c); err != nil {
		return err
	}
	sum := sha256.Sum256(b.Bytes()[sha256.Size:])
	copy(b.Bytes(), sum[:])
	return atomicfile.Write(name, b.Bytes())
}

func readCheckpoint(name string) (*checkpoint, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b) < sha256.Size || [sha256.Size]byte(b) != sha256.Sum256(b[sha256.Size:]) {
		return nil, fmt.Errorf("%s is damaged; remove it to begin the run anew", name)
	}
	c := new(checkpoint)
	if err := gob.NewDecoder(bytes.NewReader(b[sha256.Size:])).Decode(c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}
