// Package fewshot tells classes apart by a few images of each.
//
// An Episode is one such problem; a Sampler draws them from labelled images. A Head
// classifies the features of an episode's queries by those of its support, and Loss is what
// a net is trained by in episodes. Of a net that is trained, Features are what galleries
// compare, and an Evaluation tells how often episodes of new classes are answered right.
package fewshot
