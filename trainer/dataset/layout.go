package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/quarterturn/quarterturn/host/imagefile"
)

// A labelledFile is an image file of a class.
type labelledFile struct {
	path  string
	class string
}

// A layout is what was found in a folder of pictures.
type layout struct {
	ctx         context.Context
	classes     []string // by name
	train, test []labelledFile
	split       bool // there are no test images: some of train are to become them
	notes       []string
	leftOut     imagefile.LeftOuts
}

// The names that the parts of a data set go by, in lower case.
var (
	trainNames      = []string{"train", "training"}
	testNames       = []string{"test", "testing"}
	validationNames = []string{"val", "valid", "validation", "dev"}
	partNames       = slices.Concat(trainNames, testNames, validationNames)
)

// findLayout finds the classes and the images in a folder: DIR/CLASS/*, or
// DIR/train/CLASS/* with test/ or val/ beside it or neither, or either of these one folder
// down. The images of a class are all that lie in its folder, at any depth; links are
// followed as far as they do not lead back. A folder train without folders in it is a class.
func findLayout(ctx context.Context, dir string) (*layout, error) {
	l := &layout{ctx: ctx}
	for {
		folders, err := l.subfolders(dir)
		if err != nil {
			return nil, err
		}
		if train := pick(folders, trainNames); train != "" {
			within, _, err := imagefile.ListFolders(ctx, filepath.Join(dir, train))
			if err != nil {
				return nil, err
			}
			if len(within) > 0 {
				return l, l.parts(dir, folders, train)
			}
		}
		if err := l.checkParts(dir, folders); err != nil {
			return nil, err
		}
		if len(folders) != 1 {
			return l, l.plain(dir, folders)
		}
		inner := filepath.Join(dir, folders[0])
		below, _, err := imagefile.ListFolders(ctx, inner)
		if err != nil {
			return nil, err
		}
		if len(below) == 0 {
			return l, l.plain(dir, folders)
		}
		dir = inner // DIR/photos/CLASS/*
		l.notes = append(l.notes, "the classes are the folders in "+dir)
	}
}

// pick returns the folder that has one of these names.
func pick(folders, names []string) string {
	for _, f := range folders {
		if slices.Contains(names, strings.ToLower(f)) {
			return f
		}
	}
	return ""
}

// checkParts refuses folders that are parts of a data set by their names, but hold no classes to
// train on.
func (l *layout) checkParts(dir string, folders []string) error {
	isPart := func(f string) bool { return slices.Contains(partNames, strings.ToLower(f)) }
	if len(folders) < 2 || slices.ContainsFunc(folders, func(f string) bool { return !isPart(f) }) {
		return nil
	}
	if train := pick(folders, trainNames); train != "" {
		return fmt.Errorf("%s holds no folders of classes; put the pictures of each class in a folder of its own, as in %s",
			filepath.Join(dir, train), filepath.Join(dir, train, "CLASS"))
	}
	return fmt.Errorf("%s has %s, but no folder train to learn from", dir, strings.Join(folders, " and "))
}

// plain takes every folder as a class.
func (l *layout) plain(dir string, folders []string) error {
	l.split = true
	var loose []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() && imagefile.Known(e.Name()) && imagefile.Junk(e.Name(), false) == "" {
			loose = append(loose, e.Name())
		}
	}
	if len(loose) > 0 && len(folders) < 2 {
		return fmt.Errorf("%s holds %d pictures outside of folders; put those of each class in a folder of its own, as in %s",
			dir, len(loose), filepath.Join(dir, "CLASS", loose[0]))
	}
	if l.train, err = l.classFiles(dir, folders); err != nil {
		return err
	}
	return l.setClasses(dir, l.train)
}

// parts takes the folders train, and test or else val. With both, the validation images
// join the training images, of which a run holds some out itself.
func (l *layout) parts(dir string, folders []string, train string) error {
	test, val := pick(folders, testNames), pick(folders, validationNames)
	if err := l.besides(dir, folders, train, test, val); err != nil {
		return err
	}
	read := func(part string) ([]labelledFile, error) {
		folders, err := l.subfolders(filepath.Join(dir, part))
		if err != nil {
			return nil, err
		}
		return l.classFiles(filepath.Join(dir, part), folders)
	}
	var err error
	if l.train, err = read(train); err != nil {
		return err
	}
	if val != "" && test != "" {
		more, err := read(val)
		if err != nil {
			return err
		}
		l.train = append(l.train, more...)
		l.notes = append(l.notes, fmt.Sprintf("the %d images in %s join those in %s: a run holds validation images out itself", len(more), val, train))
	} else if test == "" {
		test = val
	}
	if err := l.setClasses(filepath.Join(dir, train), l.train); err != nil {
		return err
	}
	if test == "" {
		l.split = true
		return nil
	}
	if l.test, err = read(test); err != nil {
		return err
	}
	if len(l.test) == 0 {
		return fmt.Errorf("%s holds no %s images in folders of classes; fill it or remove it, and some of those in %s become the test%s",
			filepath.Join(dir, test), imagefile.Formats, train, l.why())
	}
	for _, f := range l.test {
		if !slices.Contains(l.classes, f.class) {
			return fmt.Errorf("class %s is in %s but not in %s, which has %s", f.class, test, train, strings.Join(l.classes, ", "))
		}
	}
	return nil
}

// besides looks at the folders that lie beside the parts: they are left out, unless train may be a
// class among them.
func (l *layout) besides(dir string, folders []string, train, test, val string) error {
	var others []string
	for _, f := range folders {
		if f == train || f == test || f == val {
			continue
		}
		others = append(others, f)
		l.leave(filepath.Join(dir, f), "beside the folder "+train+", which holds the classes")
	}
	if len(others) > 0 && test == "" && val == "" {
		return fmt.Errorf("%s has a folder %s that holds folders, and beside it %s: if %s is a class, give it another name; if it holds the classes, pass %s",
			dir, train, listed(others), train, filepath.Join(dir, train))
	}
	return nil
}

// why tells the reasons for which files were left out, behind an error about what is missing.
func (l *layout) why() string {
	if len(l.leftOut) == 0 {
		return ""
	}
	return "; " + l.leftOut.String()
}

// setClasses lists the classes of the training images.
func (l *layout) setClasses(dir string, files []labelledFile) error {
	for _, f := range files {
		if !slices.Contains(l.classes, f.class) {
			l.classes = append(l.classes, f.class)
		}
	}
	slices.Sort(l.classes)
	l.noteTwins()
	if len(l.classes) < 2 {
		return fmt.Errorf("%s has %d folders with images, want one for each of at least 2 classes%s", dir, len(l.classes), l.why())
	}
	return nil
}

// noteTwins notes classes whose names differ in their case alone: most systems have them as one folder.
func (l *layout) noteTwins() {
	seen := map[string]string{}
	for _, class := range l.classes {
		folded := cases.Fold().String(class)
		if twin, ok := seen[folded]; ok {
			l.notes = append(l.notes, fmt.Sprintf("%s and %s are two classes; if they are meant to be one, put their pictures in one folder", twin, class))
		}
		seen[folded] = class
	}
}

// leave notes a file that is left out.
func (l *layout) leave(path, why string) {
	l.leftOut = append(l.leftOut, imagefile.LeftOut{Path: path, Reason: why})
}

// classFiles lists the images in the folders of classes, which are compared by their names'
// composed form (Unicode NFC): systems write the same name in two ways.
func (l *layout) classFiles(dir string, folders []string) (files []labelledFile, err error) {
	for _, folder := range folders {
		path := filepath.Join(dir, folder)
		switch {
		case strings.ContainsRune(folder, utf8.RuneError):
			return nil, fmt.Errorf("the folder %q is to be a class, but its name is not text in UTF-8; rename it", path)
		case strings.ContainsFunc(folder, unicode.IsControl):
			return nil, fmt.Errorf("the folder %q is to be a class, but its name has a line break or another control character in it; rename it", path)
		}
		before := len(files)
		if files, err = l.walk(files, path, norm.NFC.String(folder)); err != nil {
			return nil, err
		}
		if len(files) == before {
			l.leave(path, "the folder holds no "+imagefile.Formats+" images")
		}
	}
	return files, nil
}

// walk appends the images below a folder.
func (l *layout) walk(files []labelledFile, dir, class string) ([]labelledFile, error) {
	found, err := imagefile.List(l.ctx, dir)
	if err != nil {
		return nil, err
	}
	for _, path := range found.Files {
		files = append(files, labelledFile{path, class})
	}
	l.leftOut = append(l.leftOut, found.LeftOut...)
	return files, nil
}

// subfolders lists the folders in a folder, links to folders among them, by name, but for
// those that systems leave behind.
func (l *layout) subfolders(dir string) ([]string, error) {
	folders, left, err := imagefile.ListFolders(l.ctx, dir)
	l.leftOut = append(l.leftOut, left...)
	return folders, err
}
