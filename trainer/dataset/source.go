package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/quarterturn/quarterturn/trainer/fashionmini"
)

// DataHelp says how data sets are named.
const DataHelp = "fashion-mini (built in), fashion:DIR (the four IDX files of Fashion-MNIST), cifar10:DIR or cifar100:DIR (the binary files), " +
	"cifar-fs:DIR or cifar-fs-new:DIR (80 classes of cifar100 to train on, and the 20 others, test images alone), " +
	"omniglot:DIR (the archives images_background_small1.zip and 2: 136 characters) or omniglot-new:DIR (106 others, test images alone), " +
	"folder:DIR (DIR/CLASS/*.png, jpg, gif or webp, or DIR/train/CLASS/... with test/ or val/ beside it)"

// Builtin is the name of the data set that comes along.
const Builtin = "fashion-mini"

// A Source says where a data set is, what to call it and, for image folders, how
// to read it.
type Source struct {
	Data       string `json:"data"`                  // see DataHelp
	Name       string `json:"name,omitempty"`        // what slabs call it; empty: its kind, or its folder
	Size       int    `json:"size,omitempty"`        // side to which a folder's images are resized; 0: SmallSide or LargeSide
	SkipBroken bool   `json:"skip_broken,omitempty"` // leave out images of a folder that cannot be read
}

// Load reads the data set.
func (source Source) Load(ctx context.Context) (*Dataset, error) {
	name := source.Data
	if !utf8.ValidString(source.Name) {
		return nil, fmt.Errorf("the name %q is not text in UTF-8", source.Name)
	}
	kind, dir, hasDir := strings.Cut(name, ":")
	if kind != "folder" && source.IsFolder() {
		kind, dir, hasDir = "folder", name, true
	}
	var d *Dataset
	var err error
	switch {
	case name == Builtin:
		if d, err = loadFashion(fashionmini.Files); err == nil && isFolder(name) {
			d.Notes = append(d.Notes, "this is the data set that is built in; the folder of this name is folder:"+name)
		}
	case !hasDir || dir == "":
		return nil, unknownSource(name)
	case kind == "fashion":
		d, err = loadFashion(os.DirFS(dir))
	case kind == "cifar10":
		d, err = loadCIFAR(os.DirFS(dir), "data_batch_[0-9]*.bin", "test_batch.bin", 0, cifar10Names)
	case kind == "cifar100":
		d, err = loadCIFAR100(os.DirFS(dir))
	case kind == "cifar-fs" || kind == "cifar-fs-new":
		d, err = loadCIFARFS(os.DirFS(dir), kind == "cifar-fs-new")
	case kind == "omniglot" || kind == "omniglot-new":
		d, err = loadOmniglot(dir, kind == "omniglot-new")
	case kind == "folder":
		d, err = loadFolder(ctx, dir, source.Size, source.SkipBroken)
	default:
		return nil, unknownSource(name)
	}
	if err == nil && kind != "folder" && (source.Size != 0 || source.SkipBroken) {
		err = errors.New("only the images of a folder can be resized or skipped")
	}
	if err != nil {
		return nil, fmt.Errorf("data %s: %w", name, err)
	}
	switch d.Name = kind; {
	case source.Name != "":
		d.Name = source.Name
	case kind == "folder":
		d.Name = strings.ToValidUTF8(filepath.Base(filepath.Clean(dir)), "\ufffd")
	}
	return d, nil
}

// Load reads a data set by its name alone.
func Load(ctx context.Context, name string) (*Dataset, error) {
	return Source{Data: name}.Load(ctx)
}

// IsFolder says whether it is an image folder, and not the files of a known data set.
func (source Source) IsFolder() bool {
	if strings.HasPrefix(source.Data, "folder:") {
		return true
	}
	return isFolder(source.Data) && source.Data != Builtin
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func unknownSource(name string) error {
	return fmt.Errorf("data %q is neither a folder nor the name of a data set: want the path of an image folder, or %s", name, DataHelp)
}
