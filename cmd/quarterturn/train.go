package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// A trainCommandLine is what the flags of train say.
type trainCommandLine struct {
	config      trainer.Config
	source      dataset.Source
	out, resume string
	device      *deviceFlags
	asJSON      bool
}

func trainCommand() *cobra.Command {
	l := &trainCommandLine{config: trainer.FastConfig()}
	cmd := &cobra.Command{
		Use:   "train (PHOTOS | --data D) [--out RUN] | --resume RUN",
		Short: "Train a net on a folder of pictures or a data set, or resume a run that stopped",
		Long: "Train a net. RUN is a new folder for model.slab, report.html, config.json, metrics.jsonl, curves.svg and the\n" +
			"checkpoint. A run that was stopped, by Ctrl-C or otherwise, resumes with --resume RUN as if it had never stopped.\n\n" +
			"A folder of pictures, with a folder for each class, is all that is needed: the net starts from one that comes\n" +
			"along, and size, length, batch and losses are chosen by the pictures. What is chosen is said, and every flag\n" +
			"that is given counts instead.\n\n" +
			"Data sets:\n" + dataSets(),
		Example: "  quarterturn train photos\n" +
			"  quarterturn train photos --minutes 1 --out run\n" +
			"  quarterturn train photos --from other.slab --method sla\n" +
			"  quarterturn train --data fashion-mini --out run\n" +
			"  quarterturn train --data cifar10:data --method baseline --minutes 15 --out quarter\n" +
			"  quarterturn train --data folder:photos --size 64 --net resnet20 --epochs 40 --out run\n" +
			"  quarterturn train --data cifar10:data --method baseline --out baseline\n" +
			"  quarterturn train --data cifar10:data --imbalance 100 --loss ldam --drw --out tail\n" +
			"  quarterturn train --resume run\n" +
			"  quarterturn train --resume run --epochs 40",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.check(cmd.Flags(), args); err != nil {
				return err
			}
			run := l.start
			if l.resume != "" {
				run = l.resumed
			} else if err := l.prepare(len(args) > 0); err != nil {
				return err
			}
			return l.device.train(cmd.Context(), l.asJSON, commandLine(), func(d *graph.Device) (*trainer.RunDir, error) { return run(cmd, d) })
		},
	}
	l.addFlags(cmd.Flags())
	return cmd
}

// check finds flags and arguments that make no sense together, and takes the pictures from the arguments.
func (l *trainCommandLine) check(flags *pflag.FlagSet, args []string) error {
	if len(args) > 0 && l.source.Data != "" {
		return usagef("give the pictures as %s or as --data %s, not both", args[0], l.source.Data)
	}
	if len(args) > 0 {
		l.source.Data = args[0]
	}
	if l.resume == "" && l.source.Data == "" {
		return usagef("give a folder of pictures or --data, or --resume")
	}
	if flags.Changed("net") && flags.Changed("from") && l.config.From != trainer.NoSlab {
		return usagef("a net that starts from a slab is that slab's; leave out --net or --from")
	}
	if flags.Changed("minutes") && flags.Changed("epochs") {
		return usagef("give --epochs or --minutes, not both: --minutes chooses the epochs")
	}
	if l.resume != "" && len(args) > 0 {
		return usagef("--resume keeps the pictures of the run; leave out %s", args[0])
	}
	if err := l.config.Check(); err != nil {
		return usageError{err}
	}
	return nil
}

// prepare sees to it, before all pictures are read, that there are some and a folder for a new run. named says
// that they were given by an argument, which is to be a folder.
func (l *trainCommandLine) prepare(named bool) error {
	if err := isNoData(l.source); err != nil {
		return err
	}
	folder := l.source.IsFolder()
	if known := folder || l.source.Data == dataset.Builtin || strings.Contains(l.source.Data, ":"); !known && named {
		return fmt.Errorf("there is no folder %s, and no data set of this name (quarterturn train --help lists them)", l.source.Data)
	}
	if l.out == "" {
		if !folder {
			return usagef("give --out, the folder of the run")
		}
		l.out = freeName(l.source)
	}
	if folder && within(l.out, strings.TrimPrefix(l.source.Data, "folder:")) {
		return fmt.Errorf("--out %s lies in the folder of the pictures, where a run would be taken for some of them; give another folder", l.out)
	}
	return trainer.Vacant(l.out)
}

// within reports whether a path, of which not everything need be there, is or lies in a folder.
func within(path, folder string) bool {
	info, err := os.Stat(folder)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	for err == nil {
		if at, gone := os.Stat(path); gone == nil && os.SameFile(at, info) {
			return true
		}
		up := filepath.Dir(path)
		if up == path {
			break
		}
		path = up
	}
	return false
}

// start begins a run with what the flags say, and otherwise with what goes with the pictures or the net.
func (l *trainCommandLine) start(cmd *cobra.Command, d *graph.Device) (*trainer.RunDir, error) {
	var err error
	if l.source.IsFolder() {
		err = l.choose(cmd.Context(), cmd.Flags())
	} else {
		err = l.settle(cmd.Flags())
	}
	if err != nil {
		return nil, err
	}
	if l.config.Minutes > 0 && l.config.Epochs == 0 {
		note("measuring how fast this machine trains")
	}
	run, err := trainer.Start(cmd.Context(), l.out, l.source, l.config, d)
	if err == nil && l.config.Method == trainer.AutoMethod {
		explainMethod(run)
	}
	return run, err
}

// resumed opens a run of before.
func (l *trainCommandLine) resumed(cmd *cobra.Command, d *graph.Device) (*trainer.RunDir, error) {
	if other := changed(cmd.Flags(), "resume", "epochs", "json", "device", "tf32", "quiet", "verbose"); other != "" {
		return nil, usagef("--resume keeps the settings of the run, but for --epochs; leave out --%s", other)
	}
	epochs := 0
	if cmd.Flags().Changed("epochs") {
		epochs = l.config.Epochs
	}
	return trainer.Resume(cmd.Context(), l.resume, epochs, d)
}

func (l *trainCommandLine) addFlags(f *pflag.FlagSet) {
	c := &l.config
	runFlags(f, &l.source, &l.out, c)
	group(f, "Run", func(f *pflag.FlagSet) {
		f.StringVar(&l.resume, "resume", "", "resume the run in this folder")
		l.device = addDeviceFlags(f)
		f.BoolVar(&l.asJSON, "json", false, "print the test metrics as JSON")
	})
	group(f, "Data", func(f *pflag.FlagSet) {
		f.Float64Var(&c.Imbalance, "imbalance", 0, "make the classes a long tail: the first has this many times the images of the last; 0: as they are")
		f.StringVar(&c.Mix, "mix", "", "mix images and labels in pairs: mixup or cutmix")
		offer(f, "mix", batch.Mixup, batch.CutMix)
		f.Float64Var(&c.MixAlpha, "mix-alpha", c.MixAlpha, "alpha of the mixture's Beta distribution")
	})
	group(f, "Net", func(f *pflag.FlagSet) {
		f.StringVar(&c.From, "from", "", "slab whose weights the net starts from: a file; backbone, the one that comes along, which is the default for pictures in colour; or none")
		offerOrFile(f, "from", trainer.FromBackbone, trainer.NoSlab)
		check(f, "from", func(value string) error {
			if value == "" { // perhaps a variable of the shell that is not set
				return errors.New("want the file of a slab, backbone or none")
			}
			return nil
		})
	})
	group(f, "Method", func(f *pflag.FlagSet) {
		f.StringVar(&c.Method, "method", c.Method, "baseline: one view, class labels; da: data augmentation, every view with the class label; "+
			"mt: multi-task, and a head that predicts the view; sla: joint labels of class and view; sla+sd: and a head that is taught what the views agree on; "+
			"sla+od: sla+sd --sum-views in RUN/teacher, and then a baseline that it teaches (--teacher, --mix mixup); "+
			"with --minutes, auto is the default: baseline, or if there is time for that to have learned its images sla+sd, and with twice the time sla+od")
		offer(f, "method", append(graph.MethodNames(), trainer.OfflineMethod, trainer.AutoMethod)...)
		f.BoolVar(&c.SumViews, "sum-views", false, "sum the joint loss over the views instead of averaging it")
		f.BoolVar(&c.StageHeads, "stage-heads", false, "joint heads behind every stage, for training only")
		f.StringVar(&c.Teacher, "teacher", "", "with --method baseline: a slab whose answers, aggregated if it can, the net learns beside the labels; with --mix, those about the mixed images, which teach more")
		f.Float64Var(&c.Temperature, "temperature", c.Temperature, "temperature of the distillation, from the views or a teacher")
		f.Float64Var(&c.Beta, "beta", c.Beta, "weight of the cross-entropy beside the distillation")
	})
	group(f, "Loss", func(f *pflag.FlagSet) {
		f.StringVar(&c.Loss, "loss", "", "ce (default), or for classes of unequal size cb-rw, cb-focal or ldam")
		offer(f, "loss", "ce", "cb-rw", "cb-focal", "ldam")
		f.BoolVar(&c.DRW, "drw", false, "deferred re-weighting: weight rare classes more, in the last fifth of the run")
		f.Float64Var(&c.LabelSmoothing, "label-smoothing", c.LabelSmoothing, "share of a label that is spread over all classes")
	})
	group(f, "Optimisation", func(f *pflag.FlagSet) {
		f.Float64Var(&c.Minutes, "minutes", 0, "take about so long in all: measures the speed of this machine first, and chooses the epochs by it, and net and batch unless they are given")
		above0(f, "minutes")
		f.IntVar(&c.Epochs, "epochs", c.Epochs, "passes over the training images")
		f.IntVar(&c.BatchSize, "batch", c.BatchSize, "images in a batch; 0: as many as make 512 rows of 32x32 pixels with their views, or a twentieth of the images")
	})
}

// runFlags are the flags of training in batches and in episodes.
func runFlags(f *pflag.FlagSet, source *dataset.Source, out *string, c *trainer.Config) {
	group(f, "Run", func(f *pflag.FlagSet) {
		f.StringVar(out, "out", "", "folder of the run")
		f.IntVar(&c.Seed, "seed", c.Seed, "random seed")
	})
	group(f, "Data", func(f *pflag.FlagSet) {
		f.StringVar(&source.Data, "data", "", "data set, see above")
		f.StringVar(&source.Name, "name", "", "what the slab calls the data set; empty: its kind, or its folder's name")
		f.IntVar(&source.Size, "size", 0, "side in pixels that the images of a folder are resized to; 0: that of the slab that the net starts from, or 64 if most are as large, else 32")
		check(f, "size", func(value string) error {
			if n, err := strconv.Atoi(value); err != nil || n != 0 && (n < dataset.MinSize || n > dataset.MaxSize) {
				return fmt.Errorf("want %d to %d, or 0", dataset.MinSize, dataset.MaxSize)
			}
			return nil
		})
		f.BoolVar(&source.SkipBroken, "skip-broken", false, "leave out images of a folder that cannot be read")
		f.IntVar(&c.HeldOut, "held-out", c.HeldOut, "hold out a tenth of the training images to choose epoch and mode by, but about this many at most; 0: any")
		f.IntVar(&c.TrainPerClass, "train-per-class", 0, "use this many training images of each class, which each must have; 0: all")
		f.StringVar(&c.Augment, "augment", c.Augment, "none, or a list of "+batch.AugmentHelp)
		offerList(f, "augment", batch.Augmentations...)
	})
	group(f, "Method", func(f *pflag.FlagSet) {
		f.StringVar(&c.Transform, "transform", c.Transform, "views: rotation, rotation2, color, color3, or a product such as rotation2xcolor3")
		offer(f, "transform", "rotation", "rotation2", "color", "color3", "rotation2xcolor3")
		f.StringVar(&c.ServedMode, "serve", c.ServedMode, "mode that the slab recommends and that decides which epoch is kept: "+strings.Join(sla.ModeNames(), ", ")+"; auto: the cheapest within 0.2 points of the best")
		offer(f, "serve", sla.ModeNames()...)
	})
	group(f, "Net", func(f *pflag.FlagSet) {
		f.StringVar(&c.Net, "net", c.Net, "fast32, fast64 ..., wide and shallow, with the width of the later groups as in fast64-256, and s2 for images twice as large as in fast64s2; resnet8, resnet14, resnet20, resnet32 ..., with a width as in resnet8w32, with 1x1 shortcuts as in resnet8p; resnet18; conv4 and resnet12, the nets of few-shot learning, with a width as in conv4w32")
		offer(f, "net", nets.Examples...)
	})
	group(f, "Optimisation", func(f *pflag.FlagSet) {
		f.Float64Var(&c.LR, "lr", c.LR, "peak learning rate")
		f.StringVar(&c.Schedule, "schedule", c.Schedule, "learning rate schedule: "+strings.Join(optim.ScheduleNames(), ", "))
		offer(f, "schedule", optim.ScheduleNames()...)
		f.StringVar(&c.Optimizer, "optimizer", c.Optimizer, "sgd, or muon for the filters of convolutions and sgd for the rest")
		offer(f, "optimizer", "sgd", "muon")
		f.Float64Var(&c.BiasLR, "bias-lr", c.BiasLR, "learning rate of biases, as a multiple of the others'; 0: once")
		f.Float64Var(&c.HeadLR, "head-lr", c.HeadLR, "learning rate of classifiers, likewise, with up to ten classes; with a hundred or more it is 32 times as much")
		f.Float64Var(&c.Momentum, "momentum", c.Momentum, "momentum of sgd")
		f.BoolVar(&c.Nesterov, "nesterov", c.Nesterov, "Nesterov momentum")
		f.Float64Var(&c.WeightDecay, "weight-decay", c.WeightDecay, "weight decay")
		f.BoolVar(&c.Decoupled, "decoupled-decay", c.Decoupled, "weight decay apart from the gradient: w -= lr*decay*w")
		f.Float64Var(&c.NormMomentum, "norm-momentum", c.NormMomentum, "share of the last batch in the running statistics of normalisation; 0: 0.1")
		f.BoolVar(&c.DecayWeights, "decay-weights-only", false, "no weight decay on normalisation and biases")
		f.Float64Var(&c.ClipNorm, "clip", 0, "clip the norm of all gradients together to this; 0: never")
		f.Float64Var(&c.EMADecay, "ema", 0, "exponential moving average of the weights, with this decay per step (such as 0.999), which the slab gets; 0: none")
	})
}

// choose settles for an image folder what no flag says, and tells what and why.
func (l *trainCommandLine) choose(ctx context.Context, flags *pflag.FlagSet) error {
	if !flags.Changed("skip-broken") {
		l.source.SkipBroken = true // they are listed
	}
	d, err := trainer.LoadFolder(ctx, &l.source, l.config.From, flags.Changed)
	if err != nil {
		return err
	}
	chosen, why := trainer.Choose(d, l.config, flags.Changed)
	if err := l.set(chosen, flags); err != nil {
		return err
	}
	note("chosen for these pictures:")
	for _, line := range why {
		note("  %s", line)
	}
	return nil
}

// settle sets what no flag sets to what goes with the net.
func (l *trainCommandLine) settle(flags *pflag.FlagSet) error {
	c := trainer.ConfigFor(l.config.Net)
	if flags.Changed("minutes") {
		if c.Epochs = 0; !flags.Changed("net") {
			c.Net = ""
		}
		if trainer.MethodIsOpen(flags.Changed) {
			c.Method = trainer.AutoMethod
		}
	}
	return l.set(c, flags)
}

// set takes settings, but for those that flags gave.
func (l *trainCommandLine) set(c trainer.Config, flags *pflag.FlagSet) (err error) {
	given := map[*pflag.Flag]string{}
	flags.Visit(func(f *pflag.Flag) { given[f] = f.Value.String() })
	l.config = c
	for f, value := range given {
		err = errors.Join(err, f.Value.Set(value))
	}
	return err
}

// freeName is that of a folder for a run on an image folder, which is not there yet: here, or if that is
// among the pictures, beside them.
func freeName(source dataset.Source) string {
	data := filepath.Clean(strings.TrimPrefix(source.Data, "folder:"))
	base := filepath.Base(data) + "-run"
	if within(".", data) {
		if all, err := filepath.Abs(data); err == nil {
			base = all + "-run"
		}
	}
	name := base
	for n := 2; ; n++ {
		if _, err := os.Stat(name); err != nil {
			return name
		}
		name = fmt.Sprint(base, "-", n)
	}
}

// changed names a flag that was given and is not one of those allowed.
func changed(flags *pflag.FlagSet, allowed ...string) (name string) {
	flags.Visit(func(f *pflag.Flag) {
		for _, a := range allowed {
			if f.Name == a {
				return
			}
		}
		name = f.Name
	})
	return name
}

// train trains in the folder of a run. A terminal that is closed stops it as Ctrl-C does.
func train(ctx context.Context, f *trainer.RunDir, asJSON bool, command string) error {
	f.Commands = []string{command}
	if !signal.Ignored(syscall.SIGHUP) {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	if f.Damaged != nil {
		note("%v; it is written again", f.Damaged)
	}
	if f.Step() > 0 {
		note("resuming %s at step %d of %d", f.Dir, f.Step(), f.Steps())
	}
	describeData(f.Data)
	announce(f.Data, f.Config)
	r := &reporter{}
	model, results, err := f.Run(ctx, r.event, r.tested)
	r.bar.clear()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopped at step %d of %d; resume with: quarterturn train --resume %s", f.Step(), f.Steps(), cmp.Or(f.Student, f.Dir))
	}
	if err != nil {
		return err
	}
	slab := filepath.Join(f.Dir, trainer.SlabFile)
	verdict := f.Verdict(model, results)
	if verdict.Useless {
		note("wrote %s, which is not worth using", slab)
	} else {
		note("wrote %s; it recommends %s", slab, model.Recommended)
	}
	if verdict.Text != "" {
		note("%s", verdict.Text)
	}
	if f.Student != "" { // the result is still to come
		for line := range strings.Lines(modeTable(results, asItIs)) {
			note("%s", strings.TrimSuffix(line, "\n"))
		}
		note("teaching a net of one view by it, in %s", f.Student)
		return nil
	}
	if asJSON {
		return printJSON(evalResult(results))
	}
	text := modeTable(results, asItIs)
	if f.Config.Imbalance > 1 {
		text += "  by the number of training images, a third of the classes each:\n"
		for i := range results {
			many, medium, few := results[i].Accuracies(f.Counts())
			text += fmt.Sprintf("  %-28s many %.2f%%, medium %.2f%%, few %.2f%%\n", results[i].Mode, 100*many, 100*medium, 100*few)
		}
	}
	return printText(text)
}

// explainMethod says why a plan chose a method.
func explainMethod(f *trainer.RunDir) {
	switch {
	case f.Student != "":
		note("--method %s: there is time for a baseline to see each image %d times; to see it turned, and then to teach a net of one view, is worth more than to see it more often", trainer.OfflineMethod, trainer.Teachable)
	case f.Config.Method == "baseline":
		note("--method baseline: there is time to see each image %d times, and more of them are worth more than SLA's views up to about %d", f.Config.Epochs, f.Saturation())
	default:
		note("--method %s: there is time for a baseline to see each image %d times, and to see it turned is worth more than to see it more often", f.Config.Method, f.Saturation())
	}
}

func announce(d *dataset.Dataset, c trainer.Config) {
	if e := c.Episode; e != (fewshot.Episode{}) {
		note("training %s on %s with %s, %s: %d epochs of %d %d-way %d-shot episodes, seed %d", c.Net, d.Name, c.Method, e.Head, c.Epochs, c.Episodes, e.Way, e.Shot, c.Seed)
		return
	}
	method := c.Method
	if c.Teacher != "" {
		method += ", taught by " + c.Teacher
	}
	note("training %s on %s with %s: %d epochs of %d images a batch, seed %d", c.Net, d.Name, method, c.Epochs, c.BatchSize, c.Seed)
	if c.Steps > 0 {
		note("  %d steps are what this machine does in %g minutes, with the test at the end", c.Steps, c.Minutes)
	}
}

// A reporter shows a run: a bar on a terminal, and a line an epoch.
type reporter struct{ bar progress }

func (r *reporter) event(e trainer.Event) {
	if e.Validation == nil {
		r.bar.set(e.Step*e.BatchSize, e.Steps*e.BatchSize, fmt.Sprintf("epoch %d/%d, loss %.3f", e.Epoch, e.Epochs, e.Loss))
		return
	}
	r.bar.clear()
	line := fmt.Sprintf("  epoch %2d/%d  %5.0f s  %4.0f images/s  loss %.3f  validation accuracy:", e.Epoch, e.Epochs, e.Seconds,
		float64(e.Step*e.BatchSize)/e.Seconds, e.Loss)
	for _, x := range e.Validation {
		line += fmt.Sprintf(" %s %.1f%%", x.Mode, 100*x.Accuracy)
	}
	note("%s", line)
}

func (r *reporter) tested(done, of int) { r.bar.set(done, of, "testing") }

// trainAndTest trains without a folder and evaluates on the test images.
func trainAndTest(ctx context.Context, d *dataset.Dataset, c trainer.Config) (*format.Model, []byte, []evaluate.Score, error) {
	announce(d, c)
	r := &reporter{}
	defer r.bar.clear()
	model, slab, err := trainer.Train(ctx, d, c, r.event)
	if err != nil {
		return nil, nil, nil, err
	}
	results, err := evaluate.Evaluate(ctx, evaluate.Ensemble{model}, evaluate.TestImages(d), r.tested)
	return model, slab, results, err
}

// commandLine is what was typed, about.
func commandLine() string {
	words := []string{"quarterturn"}
	for _, w := range os.Args[1:] {
		if strings.ContainsAny(w, " \t'\"$&;|<>()*?") || w == "" {
			w = strconv.Quote(w)
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}
