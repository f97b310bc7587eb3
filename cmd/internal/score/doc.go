// Package score classifies every image of folders, tar and zip archives and object stores into one
// file of lines. What a line says depends on the image and the slab alone, and lines are sorted, so
// shards that are put together and sorted are what one run writes.
package score
