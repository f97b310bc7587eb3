package score

import (
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"

	"github.com/quarterturn/quarterturn/format/atomicfile"
)

// lock makes a job the only one that writes its file and those beside it, until unlock.
// The lock is the system's: it ends with its process, however that ends.
func (j *Job) lock() (unlock func() error, err error) {
	if err := atomicfile.Ready(j.Out); err != nil {
		return nil, err
	}
	name := j.Out + ".lock"
	l := flock.New(name)
	locked, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", j.Out, err)
	}
	if locked {
		// The process before may have removed the file between its being opened and locked
		// here; the next one would then lock another.
		mine, err := l.Stat()
		if there, gone := os.Stat(name); err != nil || gone != nil || !os.SameFile(mine, there) {
			locked = false
		}
	}
	if !locked {
		return nil, errors.Join(fmt.Errorf("another process is writing %s", j.Out), l.Close())
	}
	return func() error {
		// While it is locked, so that nobody locks a file that is removed then; Windows
		// removes no open file, and none that another process has opened since.
		held := os.Remove(name)
		err := l.Close()
		if held != nil {
			_ = os.Remove(name)
		}
		return err
	}, nil
}
