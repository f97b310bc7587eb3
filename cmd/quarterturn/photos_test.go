package main

import (
	"bufio"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// A folder of 27 photos trains, from the net that comes along, without another word; so do
// two classes of five, and one of five beside one of sixty.
func TestFieldTrainPhotos(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	for name, counts := range map[string][2]int{"27": {13, 14}, "five of each": {5, 5}, "skewed": {5, 60}} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			for y, class := range []string{"red", "blue"} {
				for i := range counts[y] {
					img := image.NewNRGBA(image.Rect(0, 0, 40+i%9, 30+i%7))
					for k := range img.Rect.Dx() * img.Rect.Dy() {
						level := uint8(140 + (k*7+i*13)%60)
						img.Set(k%img.Rect.Dx(), k/img.Rect.Dx(), []color.Color{color.NRGBA{level, 30, 40, 255}, color.NRGBA{20, 50, level, 255}}[y])
					}
					file := filepath.Join("photos", class, fmt.Sprint(i, ".png"))
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					f, err := os.Create(file)
					if err == nil {
						err = png.Encode(f, img)
					}
					if err != nil {
						t.Fatal(err)
					}
					f.Close()
				}
			}
			stdout, stderr, code := runCommand(t, "train", "photos", "--method", "baseline", "--epochs", "2")
			if code != 0 || !strings.Contains(stdout, "baseline") || !strings.Contains(stderr, "--from backbone: ") || !strings.Contains(stderr, "were split off") {
				t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
			}
			if name == "skewed" != strings.Contains(stderr, "--drw, and scores that count every class alike") {
				t.Error(stderr)
			}
			page, err := os.ReadFile(filepath.Join("photos-run", "report.html"))
			if err != nil || !strings.Contains(string(page), "quarterturn predict photos-run/model.slab") || strings.Contains(string(page), "http://") && !strings.Contains(string(page), "www.w3.org") {
				t.Errorf("report.html: %v", err)
			}
			if _, stderr, code := runCommand(t, "train", "photos", "--method", "baseline", "--epochs", "1"); code != 0 || !strings.Contains(stderr, "photos-run-2") {
				t.Errorf("a second time: exit code %d, %s", code, stderr)
			}
			if _, stderr, code := runCommand(t, "eval", "photos-run/model.slab", "--data", "photos"); code != 0 {
				t.Errorf("eval: exit code %d, %s", code, stderr)
			}
		})
	}
}

// underNohup is found before any test asks for the signal, after which signal.Ignored no longer says it.
var underNohup = signal.Ignored(syscall.SIGHUP)

// A terminal that is closed stops a run as Ctrl-C does: with a checkpoint. To resume it when
// it is complete is no failure.
func TestFieldHangup(t *testing.T) {
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("trains, and sends a signal")
	}
	if underNohup {
		t.Skip("these tests run under nohup, so what they start is to go on after the signal")
	}
	t.Chdir(t.TempDir())
	cmd := command(t.Context(), "train", "--data", "fashion-mini", "--net", "resnet8w8", "--method", "baseline", "--train-per-class", "20", "--batch", "16", "--epochs", "2000", "--out", "run")
	errs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(errs); lines.Scan(); {
		if said.WriteString(lines.Text() + "\n"); strings.Contains(lines.Text(), "epoch    1/2000") || strings.Contains(lines.Text(), "epoch  1/2000") {
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "resume with: quarterturn train --resume run") {
		t.Fatalf("exit code %d, %v: %s", code, err, said.String())
	}
	if _, err := os.Stat(filepath.Join("run", "checkpoint")); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll("run"); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := runCommand(t, "train", "--data", "fashion-mini", "--net", "resnet8w8", "--method", "baseline", "--train-per-class", "20", "--batch", "16", "--epochs", "1", "--out", "run"); code != 0 {
		t.Fatal(stderr)
	}
	if _, stderr, code := runCommand(t, "train", "--resume", "run"); code != 0 || !strings.Contains(stderr, "the run is complete") {
		t.Errorf("a run that is complete: exit code %d, %s", code, stderr)
	}
}

// A run that is given no folder makes one here, or beside the pictures if here is among them.
func TestFolderOfARunWithoutAName(t *testing.T) {
	dir := t.TempDir()
	photos := filepath.Join(dir, "photos")
	if err := os.MkdirAll(filepath.Join(photos, "cat"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ at, data, want string }{
		{dir, "photos", "photos-run"}, {dir, "folder:photos/", "photos-run"}, {photos, ".", photos + "-run"},
		{filepath.Join(photos, "cat"), "..", photos + "-run"},
	} {
		t.Chdir(x.at)
		if got := freeName(dataset.Source{Data: x.data}); got != x.want {
			t.Errorf("in %s with %s: %s, want %s", x.at, x.data, got, x.want)
		}
	}
}
