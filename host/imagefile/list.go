package imagefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Listing is what lies in a folder tree.
type Listing struct {
	Files   []string // the image files, in the order of a walk by name; each begins with the folder's name
	LeftOut LeftOuts // everything else
}

// List finds the image files of a folder and all folders in it, by their names. Links
// are followed, loops of them end. Nothing is passed over in silence: what else is there,
// what computers leave behind (Thumbs.db, __MACOSX, @eaDir, ...), pipes and links to
// nothing are in LeftOut.
func List(ctx context.Context, root string) (*Listing, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", root)
	}
	w := &walk{ctx: ctx, above: foldersAbove(root)}
	w.outside = len(w.above)
	if err := w.folder(root, info, 0); err != nil {
		return nil, err
	}
	return &w.Listing, nil
}

// foldersAbove returns the folders that a folder lies in: a link to one of them leads back as much as one to
// the folder itself.
func foldersAbove(folder string) (above []fs.FileInfo) {
	real, err := filepath.EvalSymlinks(folder)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil
	}
	for up := filepath.Dir(real); ; up = filepath.Dir(up) {
		if info, err := os.Stat(up); err == nil {
			above = append(above, info)
		}
		if up == filepath.Dir(up) {
			return above
		}
	}
}

const leadsBack = "the link leads back to a folder it is in"

// ListFolders returns the folders in a folder, links to folders among them, by name: the
// classes of a data set. What else is there is left out.
func ListFolders(ctx context.Context, root string) (names []string, left LeftOuts, err error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Stat(root)
	if err != nil {
		return nil, nil, err
	}
	above := append(foldersAbove(root), self)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		path := filepath.Join(root, e.Name())
		info, reason := look(path, e)
		switch {
		case reason != "":
		case slices.ContainsFunc(above, func(other fs.FileInfo) bool { return os.SameFile(info, other) }):
			reason = leadsBack
		case !info.IsDir():
			reason = notInAClass
		default:
			names = append(names, e.Name())
			continue
		}
		left = append(left, LeftOut{path, reason})
	}
	return names, left, nil
}

// A walk is a List under way.
type walk struct {
	ctx context.Context
	Listing
	above   []fs.FileInfo // the folders that one is in
	outside int           // how many of them the root is in
	visited []fs.FileInfo // the folders that links led to
}

// folder lists a folder that lies behind so many links.
func (w *walk) folder(path string, info fs.FileInfo, links int) error {
	w.above = append(w.above, info)
	defer func() { w.above = w.above[:len(w.above)-1] }()
	entries, err := os.ReadDir(path)
	if err != nil && len(w.above) == w.outside+1 {
		return err
	}
	if err != nil {
		w.leave(path, Reason(path, err))
	}
	for _, e := range entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(filepath.Join(path, e.Name()), e, links); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) leave(path, reason string) { w.LeftOut = append(w.LeftOut, LeftOut{path, reason}) }

func (w *walk) entry(path string, e fs.DirEntry, links int) error {
	info, reason := look(path, e)
	if reason != "" {
		w.leave(path, reason)
		return nil
	}
	same := func(other fs.FileInfo) bool { return os.SameFile(info, other) }
	linked := e.Type()&fs.ModeSymlink != 0
	if !info.IsDir() {
		if reason := Unread(path); reason != "" {
			w.leave(path, reason)
		} else {
			w.Files = append(w.Files, path)
		}
		return nil
	}
	switch {
	case slices.ContainsFunc(w.above, same):
		w.leave(path, leadsBack)
	case linked && links > 0 && slices.ContainsFunc(w.visited, same):
		// Links in linked folders could else multiply without end.
		w.leave(path, "a link to a folder that is listed under another name")
	default:
		if linked {
			w.visited = append(w.visited, info)
			links++
		}
		return w.folder(path, info, links)
	}
	return nil
}

// look follows an entry of a folder to what it is, or says why it is nothing to read.
func look(path string, e fs.DirEntry) (info fs.FileInfo, reason string) {
	if reason := Junk(e.Name(), e.IsDir()); reason != "" {
		return nil, reason
	}
	info, err := os.Stat(path)
	linked := e.Type()&fs.ModeSymlink != 0
	switch {
	case err != nil && linked && errors.Is(err, fs.ErrNotExist):
		return nil, "a link to nothing"
	case err != nil:
		return nil, Reason(path, err)
	case info.Mode().IsRegular():
		return info, ""
	case !info.IsDir():
		return nil, notRegular
	case strings.HasPrefix(e.Name(), "."):
		return nil, hiddenFolder
	case linked:
		return info, Junk(e.Name(), true)
	}
	return info, ""
}

// Junk says which system left a file or folder of this name behind, or nothing if it may be
// somebody's.
func Junk(name string, folder bool) string {
	by := fileOf
	if folder {
		by = folderOf
	}
	if who := by(name); who != "" {
		return leftBehind + who
	}
	return ""
}

// folderOf says who makes folders of this name.
func folderOf(name string) string {
	if name == "CVS" { // in capitals alone: somebody may sort pictures of that chain of shops
		return "a program"
	}
	lower := strings.ToLower(name)
	switch lower {
	case "__macosx", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems", ".documentrevisions-v100",
		"network trash folder", "temporary items": // the last two on servers that Macs use
		return "macOS"
	case "@eadir", "#recycle", "#snapshot", ".@__thumb", "@recycle", "@recently-snapshot", "@tmp", "~snapshot":
		return "a NAS"
	case "$recycle.bin", "system volume information", "recycler":
		return "Windows"
	case ".ipynb_checkpoints", "__pycache__", ".git", ".svn", ".hg", ".dvc", ".cache", "lost+found", ".thumbnails":
		return "a program"
	}
	switch number, found := strings.CutPrefix(lower, "found."); {
	case found && len(number) == 3 && strings.Trim(number, "0123456789") == "": // of chkdsk
		return "Windows"
	case strings.HasPrefix(lower, ".trash-"):
		return "a program"
	}
	return ""
}

// fileOf says who makes files of this name.
func fileOf(name string) string {
	lower := strings.ToLower(name)
	switch lower {
	case ".ds_store", "icon\r", ".localized", ".apdisk", ".volumeicon.icns":
		return "macOS"
	case "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini":
		return "Windows"
	case ".directory", ".picasa.ini", "picasa.ini", ".nomedia", ".gitkeep", ".gitignore", ".gitattributes", ".keep":
		return "a program"
	}
	switch {
	case strings.HasPrefix(name, "._"):
		return "macOS"
	case strings.HasPrefix(lower, ".trashed-"), strings.HasPrefix(lower, ".pending-"): // deleted, or not all there yet
		return "Android"
	}
	return ""
}
