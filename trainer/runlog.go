package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// openEvents begins the events file, with the epochs that the log has.
func (f *RunDir) openEvents() error {
	b := report.StartEvents(float64(time.Now().Unix()))
	for i := range f.epochs {
		b = append(b, f.epochs[i].Events()...)
	}
	var err error
	if f.events, err = os.Create(filepath.Join(f.Dir, report.EventsFile)); err == nil {
		_, err = f.events.Write(b)
	}
	return err
}

// restore goes back to the last checkpoint, or to the beginning if there is none. The log
// becomes what it was then, whatever has become of it since.
func (f *RunDir) restore(ctx context.Context) error {
	c, err := readCheckpoint(filepath.Join(f.Dir, CheckpointFile))
	if err == nil {
		f.logged = c.Log
		err = f.run.restore(c)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = f.run.startFrom(ctx)
	}
	if err != nil {
		return err
	}
	for lines := json.NewDecoder(bytes.NewReader(f.logged)); ; {
		var e report.Epoch
		if err := lines.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("the checkpoint's log: %w", err)
		}
		f.epochs = append(f.epochs, e)
	}
	name := filepath.Join(f.Dir, LogFile)
	if err := atomicfile.Write(name, f.logged); err != nil {
		return err
	}
	if f.log, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return err
	}
	return f.openEvents()
}

// record logs an epoch, draws the curves and saves a checkpoint behind them.
func (f *RunDir) record() error {
	r := f.run
	f.epochs = append(f.epochs, report.Epoch{Event: "epoch", Epoch: r.epochs, Step: r.done, Loss: r.lossSum / float64(r.done-(r.epochs-1)*r.stepsPerEpoch),
		LR: r.solver.LR, Seconds: r.elapsed(), Time: float64(time.Now().UnixMilli()) / 1e3, Metrics: r.metrics})
	last := &f.epochs[len(f.epochs)-1]
	if err := f.write(last); err != nil {
		return err
	}
	if _, err := f.events.Write(last.Events()); err != nil {
		return err
	}
	svg, err := report.Curves(f.epochs)
	if err == nil {
		err = atomicfile.Write(filepath.Join(f.Dir, CurvesFile), svg)
	}
	if err != nil {
		return err
	}
	return f.save()
}

// write logs an event.
func (f *RunDir) write(event any) error {
	b, err := json.Marshal(event)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	f.logged = append(f.logged, b...)
	if _, err := f.log.Write(b); err != nil {
		return err
	}
	return f.log.Sync()
}

// save writes a checkpoint.
func (f *RunDir) save() error {
	c, err := f.run.checkpoint()
	if err != nil {
		return err
	}
	c.Log = f.logged
	if err := c.write(filepath.Join(f.Dir, CheckpointFile)); err != nil {
		return fmt.Errorf("cannot save a checkpoint; if there was one before, it is intact: %w", err)
	}
	return nil
}
