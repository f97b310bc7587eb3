package trainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/graph"
)

// OfflineMethod is what Config.Method says for two runs, one behind the other: SLA+SD, with its
// loss summed over the views, in TeacherDir; and then a net of one view, which learns what the
// first says, aggregated, about mixed images (offline distillation; Beyer et al. 2022, "Knowledge
// distillation: A good teacher is patient and consistent"). The slab of the second is that of the
// run.
const OfflineMethod = "sla+od"

// TeacherDir is the folder of the first of the two runs, in that of the second.
const TeacherDir = "teacher"

// TeacherShare is the first run's share of Config.Minutes: with it each gets about as many epochs. A
// step of the first computes forward and backward for four views, one of the second for one view and
// forward for the teacher's four.
const TeacherShare = 0.63

// teaching returns the settings of the first run.
func (c Config) teaching() Config {
	c.Method, c.SumViews, c.Mix, c.ServedMode = "sla+sd", true, "", auto
	c.Minutes *= TeacherShare
	return c
}

// learning returns the settings of the second, for the slab of the first.
func (c Config) learning(slab string) Config {
	c.Method, c.SumViews, c.StageHeads, c.Teacher = "baseline", false, false, slab
	c.Mix = cmp.Or(c.Mix, batch.Mixup)
	c.Minutes *= 1 - TeacherShare
	return c
}

// startTeacher begins the first run. Until the second begins, the config.json of the outer folder
// holds the settings of both.
func startTeacher(ctx context.Context, dir string, source dataset.Source, c Config, device *graph.Device) (*RunDir, error) {
	if c.Teacher != "" {
		return nil, fmt.Errorf("method %s makes a teacher of its own; leave out the other, or the method", OfflineMethod)
	}
	second := c.learning(SlabFile)
	if c.ServedMode != auto && c.ServedMode != second.Method {
		return nil, fmt.Errorf("serve %q: a slab of method %s has %s alone", c.ServedMode, OfflineMethod, second.Method)
	}
	second.Epochs = max(1, second.Epochs) // which a plan may leave open
	if err := second.check(); err != nil {
		return nil, err
	}
	f, err := startRun(ctx, filepath.Join(dir, TeacherDir), source, c.teaching(), device, func(teacher string) error {
		// Another run may have begun in the outer folder, which is not locked, while this one was planned.
		if err := cmp.Or(Vacant(dir), Vacant(teacher)); err != nil {
			return err
		}
		return writeConfig(dir, runConfig{source, c})
	})
	if err != nil {
		return nil, err
	}
	f.Student = dir
	return f, nil
}

// resumeTeacher opens whichever of the two runs is not complete.
func resumeTeacher(ctx context.Context, dir string, c runConfig, epochs int, device *graph.Device) (*RunDir, error) {
	if epochs != 0 {
		return nil, fmt.Errorf("%s is training its teacher still; give it more epochs when it is done", dir)
	}
	if err := c.findData(dir); err != nil {
		return nil, err
	}
	teacher := filepath.Join(dir, TeacherDir)
	var f *RunDir
	err := Vacant(teacher)
	if err == nil { // it was stopped before it began
		f, err = Start(ctx, teacher, c.Source, c.Config.teaching(), device)
	} else if f, err = Resume(ctx, teacher, 0, device); errors.Is(err, ErrComplete) {
		return startStudent(ctx, dir, c, device)
	}
	if err != nil {
		return nil, err
	}
	f.Student = dir
	return f, nil
}

// findTeacher says where the teacher is in a folder that has moved since it trained both.
func (c *runConfig) findTeacher(dir string) error {
	if c.Teacher == "" || there(c.Teacher) {
		return nil
	}
	own, err := teacherSlab(dir)
	if err == nil && there(own) {
		c.Teacher = own
	}
	return err
}

// teacherSlab is where the slab of the first run is, from any working directory.
func teacherSlab(dir string) (string, error) {
	return filepath.Abs(filepath.Join(dir, TeacherDir, SlabFile))
}

// StartStudent begins the run in f.Student, which f, being complete, teaches.
func (f *RunDir) StartStudent(ctx context.Context, device *graph.Device) (*RunDir, error) {
	c, err := readConfig(f.Student)
	if err != nil {
		return nil, err
	}
	return startStudent(ctx, f.Student, c, device)
}

func startStudent(ctx context.Context, dir string, c runConfig, device *graph.Device) (*RunDir, error) {
	slab, err := teacherSlab(dir)
	if err != nil {
		return nil, err
	}
	return startRun(ctx, dir, c.Source, c.Config.learning(slab), device, func(dir string) error {
		if now, err := readConfig(dir); err != nil || now != c {
			return errors.Join(err, fmt.Errorf("another process has begun %s", dir))
		}
		return nil
	})
}
