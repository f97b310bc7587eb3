// Package batch makes batches out of images.
//
// A Batcher augments the images it is asked for and draws how they are mixed; the result, a
// Batch, is bytes and targets. Views renders it as a net wants it: normalised, mixed, and
// every image in M views, which share all of that. Where a batch goes, and what is
// computed of it, this package does not know.
package batch
