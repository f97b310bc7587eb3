package dataset

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// pictures writes pictures of random colours into a new folder, with these names, and returns it.
func pictures(t *testing.T, names ...string) string {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	for i, name := range names {
		writePicture(t, filepath.Join(dir, name), 8, 8, color.NRGBA{uint8(10 + 7*i), uint8(200 - 5*i), uint8(90 * (i % 3)), 255})
	}
	return dir
}

// numbered lists n names in a folder.
func numbered(dir string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s/%d.png", dir, i))
	}
	return names
}

// A folder is read however people lay it out: the classes and the number of images of the
// parts.
func TestFieldLayouts(t *testing.T) {
	for name, c := range map[string]struct {
		pictures    []string
		train, test int
		note        string
	}{
		"classes alone":      {slices.Concat(numbered("cat", 10), numbered("dog", 17)), 8 + 14, 2 + 3, "5 of 27 were split off"},
		"five of each":       {slices.Concat(numbered("cat", 5), numbered("dog", 5)), 8, 2, "2 of 10 were split off"},
		"train alone":        {slices.Concat(numbered("train/cat", 10), numbered("train/dog", 10)), 16, 4, "4 of 20 were split off"},
		"train and test":     {slices.Concat(numbered("Train/cat", 5), numbered("Train/dog", 5), numbered("TEST/dog", 3)), 10, 3, ""},
		"train and val":      {slices.Concat(numbered("train/cat", 5), numbered("train/dog", 5), numbered("val/cat", 2)), 10, 2, ""},
		"train, val, test":   {slices.Concat(numbered("train/cat", 5), numbered("train/dog", 5), numbered("valid/cat", 2), numbered("test/cat", 3)), 12, 3, "the 2 images in valid join those in train"},
		"one folder down":    {slices.Concat(numbered("photos/cat", 10), numbered("photos/dog", 10)), 16, 4, "the classes are the folders in"},
		"folders in classes": {slices.Concat(numbered("cat/2023", 5), numbered("cat/2024/may", 5), numbered("dog", 10)), 16, 4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := pictures(t, c.pictures...)
			d, err := Source{Data: dir, Size: 8}.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(d.ClassNames, []string{"cat", "dog"}) || d.Train.Len() != c.train || d.Test.Len() != c.test || !strings.Contains(strings.Join(d.Notes, "; "), c.note) || len(d.LeftOut) > 0 {
				t.Errorf("%q: %d and %d images, notes %q, left out %q", d.ClassNames, d.Train.Len(), d.Test.Len(), d.Notes, d.LeftOut)
			}
			for _, s := range []*Split{&d.Train, &d.Test} {
				for i, file := range s.Files {
					if !strings.Contains(file, string(filepath.Separator)+d.ClassNames[s.Labels[i]]+string(filepath.Separator)) {
						t.Errorf("%s is of class %s", file, d.ClassNames[s.Labels[i]])
					}
				}
			}
		})
	}
}

// The split depends on what the pictures show: names and order do not matter, and equal
// pictures stay together.
func TestFieldSplitByContent(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	testImages := func(names func(i int) string) map[string]bool {
		dir := t.TempDir()
		for i := range 40 {
			class := []string{"a", "b"}[i%2]
			c := color.NRGBA{uint8(5 * i), uint8(255 - 5*i), 77, 255}
			writePicture(t, filepath.Join(dir, class, names(i)), 8, 8, c)
			if i%3 == 0 { // a copy under another name
				writePicture(t, filepath.Join(dir, class, "copy of "+names(i)), 8, 8, c)
			}
		}
		d, err := Source{Data: dir, Size: 8}.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]bool{}
		for i := range d.Test.Labels {
			in[string(d.Test.Pixels[i*192:i*192+3])] = true
		}
		for i := range d.Train.Labels {
			if in[string(d.Train.Pixels[i*192:i*192+3])] {
				t.Errorf("%s is on both sides", d.Train.Files[i])
			}
		}
		if n := d.Test.Len(); n < 8 || n > 13 {
			t.Errorf("%d of 54 images are for the test", n)
		}
		return in
	}
	first := testImages(func(i int) string { return fmt.Sprintf("%d.png", i) })
	second := testImages(func(i int) string { return fmt.Sprintf("%d.png", 1000-i) })
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Error("other names make another split")
	}
}

// What is in the folders beside pictures is left out, and named.
func TestFieldJunk(t *testing.T) {
	dir := pictures(t, slices.Concat(numbered("cat", 5), numbered("dog", 5), []string{"cat/x.JPEG.png", "__MACOSX/cat/._1.png", "cat/@eaDir/1.png", "cat/._2.png"})...)
	if err := os.Rename(filepath.Join(dir, "cat/x.JPEG.png"), filepath.Join(dir, "cat/x.JFIF")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cat/Thumbs.db", "dog/notes.txt", "dog/phone.HEIC", "dog/scan.bmp", "dog/desktop.ini"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("?"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Source{Data: dir, Size: 8}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := strings.Join(d.LeftOut.Lines(true), "\n")
	for _, want := range []string{"@eaDir: left behind by", "._2.png: left behind by macOS", "Thumbs.db: left behind by Windows", "notes.txt: not named", "__MACOSX", "phone.HEIC: images of this kind are not read",
		"scan.bmp: images of this kind", "desktop.ini", "empty: the folder holds no"} {
		if !strings.Contains(left, want) {
			t.Errorf("%q is not said of what was left out:\n%s", want, left)
		}
	}
	if d.Train.Len()+d.Test.Len() != 11 || len(d.ClassNames) != 2 {
		t.Errorf("%d images of %q", d.Train.Len()+d.Test.Len(), d.ClassNames)
	}
}

// Links are followed to what they lead to, but not in circles; the cache knows when that
// changes.
func TestFieldLinks(t *testing.T) {
	store := pictures(t, slices.Concat(numbered("one", 5), numbered("two", 5))...)
	dir := t.TempDir()
	for link, to := range map[string]string{"cat": "one", "dog": "two"} {
		if err := os.Symlink(filepath.Join(store, to), filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	if err := os.Symlink(dir, filepath.Join(store, "one", "back")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(store, "two", "0.png"), filepath.Join(store, "one", "linked.png")); err != nil {
		t.Fatal(err)
	}
	load := func() *Dataset {
		d, err := Source{Data: dir, Size: 8}.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := load()
	if !slices.Equal(d.ClassNames, []string{"cat", "dog"}) || !strings.Contains(d.LeftOut.String(), "leads back") || !strings.Contains(strings.Join(d.Notes, " "), "are in two classes") {
		t.Errorf("%q, %q, %q", d.ClassNames, d.LeftOut, d.Notes)
	}
	before := d.Train.Hash()
	file := filepath.Join(store, "two", "3.png")
	writePicture(t, file, 8, 8, color.NRGBA{1, 2, 3, 255})
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if d := load(); d.Train.Hash() == before && d.Test.Len() == 0 {
		t.Error("what a link leads to changed, and the cache did not notice")
	}
}

// A pipe in a class's folder neither hangs nor counts, and reading stops with its context.
func TestFieldPipesAndContext(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no pipes in folders")
	}
	dir := pictures(t, slices.Concat(numbered("cat", 5), numbered("dog", 5))...)
	if err := makePipe(filepath.Join(dir, "cat", "pipe.png")); err != nil {
		t.Fatal(err)
	}
	d, err := Source{Data: dir, Size: 8}.Load(t.Context())
	if err != nil || !strings.Contains(d.LeftOut.String(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Source{Data: dir, Size: 16}).Load(ctx); err != context.Canceled && !strings.Contains(err.Error(), "canceled") {
		t.Errorf("cancelled: %v", err)
	}
}

// Class names that differ in their Unicode form alone are one; grey pictures among colours
// are taken as colours; a picture in training and test is named.
func TestFieldMixtures(t *testing.T) {
	dir := pictures(t, slices.Concat(numbered("train/caf\u00e9", 5), numbered("train/tea", 5), []string{"test/cafe\u0301/1.png", "test/tea/1.png"})...)
	writePicture(t, filepath.Join(dir, "train/tea/grey.png"), 8, 8, color.Gray{99})
	writePicture(t, filepath.Join(dir, "test/tea/again.png"), 8, 8, color.NRGBA{10, 200, 0, 255}) // the first of all pictures
	d, err := Source{Data: dir, Size: 8}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(d.Notes, "; ")
	if len(d.ClassNames) != 2 || d.Channels != 3 || !strings.Contains(notes, "1 of the 14 images are grey") || !strings.Contains(notes, "1 test images are among the training images") || !strings.Contains(notes, "again.png") {
		t.Errorf("%q, %d channels, %s", d.ClassNames, d.Channels, notes)
	}
}

// B13: a cached set is read again when what its links lead to has changed, even if size and
// time of modification have not.
func TestFieldB13CachesOfLinksIntoAStore(t *testing.T) {
	store := pictures(t, "1.png", "2.png")
	dir := pictures(t, "train/b/1.png", "test/b/1.png")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "train/a"), 0o755), os.Symlink(filepath.Join(store, "1.png"), filepath.Join(dir, "train/a/1.png"))); err != nil {
		t.Fatal(err)
	}
	load := func() byte {
		d, err := Source{Data: dir, Size: 8}.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d.Train.Pixels[0]
	}
	if px := load(); px != 10 {
		t.Fatalf("pixel %d", px)
	}
	content, err := os.ReadFile(filepath.Join(store, "2.png"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(store, "1.png"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // file systems count in steps
	err = errors.Join(os.WriteFile(filepath.Join(store, "1.png"), content, 0o644), os.Chtimes(filepath.Join(store, "1.png"), info.ModTime(), info.ModTime()))
	if err != nil {
		t.Fatal(err)
	}
	if px := load(); px != 17 {
		t.Errorf("the store's old content: pixel %d", px)
	}
}

// A11: classes are matched by name; the order is nobody's business.
func TestFieldA11ClassesAreMatchedByName(t *testing.T) {
	d := &Dataset{Name: "zoo", ClassNames: []string{"cat", "dog", "\u00e9mu"}}
	order, err := d.Order([]string{"e\u0301mu", "cat", "dog"})
	if err != nil || !slices.Equal(order, []int{2, 0, 1}) {
		t.Errorf("%v %v", order, err)
	}
	for _, names := range [][]string{{"Cat", "dog", "\u00e9mu"}, {"cat", "dog"}, {"cat", "dog", "\u00e9mu", "fox"}, {"cat", "cat", "dog"}} {
		_, err := d.Order(names)
		if err == nil || !strings.Contains(err.Error(), "the slab has "+strings.Join(names, ", ")) || !strings.Contains(err.Error(), "zoo has cat, dog, \u00e9mu") || names[0] == "Cat" && !strings.Contains(err.Error(), "only the slab has Cat; only zoo has cat") {
			t.Errorf("%q: %v", names, err)
		}
	}
}

// Classes that differ in what is not seen are quoted.
func TestFieldNamesOfClassesAreSeen(t *testing.T) {
	d := &Dataset{Name: "sp", ClassNames: []string{"ant ", "bee\u00a0fly", "cat"}}
	_, err := d.Order([]string{"ant", "bee fly", "cat"})
	want := `the slab has ant, bee fly, cat; sp has "ant ", "bee\u00a0fly", cat; only the slab has ant, bee fly; only sp has "ant ", "bee\u00a0fly"`
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// Folders beside train are named, a class may be called train, and parts without classes are no classes.
func TestFieldFoldersNamedAsParts(t *testing.T) {
	for name, c := range map[string]struct {
		pictures []string
		classes  string // or
		err      string
		leftOut  string
	}{
		"a class called train":      {pictures: slices.Concat(numbered("bus", 5), numbered("train", 5)), classes: "bus train"},
		"a class called test":       {pictures: slices.Concat(numbered("exam", 5), numbered("test", 5)), classes: "exam test"},
		"train may be a class":      {pictures: slices.Concat(numbered("bus", 5), numbered("train/steam", 5), numbered("train/diesel", 5)), err: "beside it bus: if train is a class"},
		"others beside the parts":   {pictures: slices.Concat(numbered("old", 5), numbered("train/a", 5), numbered("train/b", 5), numbered("test/b", 1)), classes: "a b", leftOut: "old (beside the folder train, which"},
		"dev":                       {pictures: slices.Concat(numbered("dev/a", 2), numbered("train/a", 5), numbered("train/b", 5)), classes: "a b"},
		"no train":                  {pictures: slices.Concat(numbered("val/a", 5), numbered("val/b", 5), numbered("test/a", 5)), err: "has test and val, but no folder train"},
		"parts without classes":     {pictures: slices.Concat(numbered("train", 5), numbered("test", 5)), err: "train holds no folders of classes"},
		"a name of another charset": {pictures: slices.Concat(numbered("a", 2), numbered("caf\xe9", 2)), err: `caf\xe9" is to be a class, but its name is not text in UTF-8`},
		"a name of two lines":       {pictures: slices.Concat(numbered("a", 2), numbered("b\nc", 2)), err: `b\nc" is to be a class, but its name has a line break or`},
		"one class":                 {pictures: numbered("cat", 5), err: "has 1 folders with images, want one for each of at least 2 classes"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := pictures(t, c.pictures...)
			d, err := Source{Data: dir, Size: 8}.Load(t.Context())
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "not in the folder of a class") {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if left := d.LeftOut.String(); strings.Join(d.ClassNames, " ") != c.classes || !strings.Contains(left, c.leftOut) || left != "" && c.leftOut == "" {
				t.Errorf("classes %q, left out %q", d.ClassNames, left)
			}
		})
	}
}

// What keeps a class from being one is told with the reasons.
func TestFieldReasonsOfMissingClasses(t *testing.T) {
	dir := pictures(t, "owl/1.png", "owl/2.png")
	if err := os.Mkdir(filepath.Join(dir, "cat"), 0o755); err != nil {
		t.Fatal(err)
	}
	photo := filepath.Join(dir, "cat", "IMG_1.HEIC")
	if err := os.WriteFile(photo, []byte("....ftypheic"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Source{Data: dir, Size: 8}.Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "has 1 folders with images") || !strings.Contains(err.Error(), photo+" (images of this kind are not read; convert") {
		t.Errorf("photos of a kind that is not read: %v", err)
	}
	broken := filepath.Join(dir, "cat", "2.jpg")
	if err := os.WriteFile(broken, []byte("\xff\xd8\xff"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Source{Data: dir, Size: 8, SkipBroken: true}.Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "class cat can be read: "+broken+": ") {
		t.Errorf("a class of broken photos: %v", err)
	}
}

// A folder whose name is not UTF-8 gives a data set whose name is, and a name that is given must be.
func TestFieldNamesOfDataAreText(t *testing.T) {
	dir := pictures(t, append(numbered("x\xff/a", 2), numbered("x\xff/b", 2)...)...)
	d, err := Source{Data: filepath.Join(dir, "x\xff"), Size: 8}.Load(t.Context())
	if err != nil || d.Name != "x\ufffd" {
		t.Errorf("the data set is called %q (%v)", d.Name, err)
	}
	if _, err := (Source{Data: "fashion-mini", Name: "x\xff"}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("a name that is not text: %v", err)
	}
}

// Names that differ in their case alone are told: on other systems they are one folder.
func TestFieldClassesThatDifferInCase(t *testing.T) {
	dir := pictures(t, slices.Concat(numbered("Cat", 5), numbered("cat", 5), numbered("ÉTÉ", 5), numbered("été", 5), numbered("dog", 5))...)
	if same, err := os.ReadDir(dir); err != nil || len(same) != 5 {
		t.Skip("this system has them as one folder")
	}
	d, err := Source{Data: dir, Size: 8}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(d.Notes, "; ")
	for _, want := range []string{"Cat and cat are two classes", "ÉTÉ and été are two classes"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in %q", want, notes)
		}
	}
	if strings.Count(notes, "are two classes") != 2 {
		t.Error(notes)
	}
}

// Every image that is in another class too is counted, however often it is there.
func TestFieldEqualPictures(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	for _, name := range slices.Concat(numbered("a", 4), numbered("b", 3)) {
		writePicture(t, filepath.Join(dir, name), 8, 8, color.NRGBA{200, 100, 50, 255})
	}
	d, err := Source{Data: dir, Size: 8}.Load(t.Context())
	if err != nil || d.Test.Len() != 0 || !strings.HasPrefix(d.Notes[0], "3 images are in two classes: ") {
		t.Errorf("%q, %v", d.Notes, err)
	}
}

// A picture that is longer than any that can be classified is left out under its name.
func TestFieldPanorama(t *testing.T) {
	dir := pictures(t, slices.Concat(numbered("a", 3), numbered("b", 3))...)
	long := filepath.Join(dir, "a", "panorama.png")
	writePicture(t, long, 32769, 1, color.NRGBA{1, 2, 3, 255})
	d, err := Source{Data: dir, Size: 8, SkipBroken: true}.Load(t.Context())
	if err != nil || len(d.LeftOut) != 1 || d.LeftOut[0].Path != long || !strings.Contains(d.LeftOut[0].Reason, "32768") || strings.Contains(d.LeftOut[0].Reason, long) {
		t.Errorf("left out %q, %v", d.LeftOut, err)
	}
}
