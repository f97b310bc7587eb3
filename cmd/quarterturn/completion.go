package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of a flag: the words that shells offer for it, and whether it takes several, with commas between,
// or also files.
const wordsKey, listKey, filesKey = "quarterturn_words", "quarterturn_list", "quarterturn_files"

func annotate(f *pflag.FlagSet, name, key string, values ...string) {
	if err := f.SetAnnotation(name, key, values); err != nil {
		panic(err) // a flag that was never defined
	}
}

// offer says which words a flag takes, for shells to offer. Its help names them, too.
func offer(f *pflag.FlagSet, name string, words ...string) { annotate(f, name, wordsKey, words...) }

// offerList is offer for a flag that takes several.
func offerList(f *pflag.FlagSet, name string, words ...string) {
	offer(f, name, words...)
	annotate(f, name, listKey)
}

// offerOrFile is offer for a flag that also takes a file.
func offerOrFile(f *pflag.FlagSet, name string, words ...string) {
	offer(f, name, words...)
	annotate(f, name, filesKey)
}

// offerAll makes shells offer the words of a command's flags.
func offerAll(c *cobra.Command) {
	c.Flags().VisitAll(func(x *pflag.Flag) {
		if x.Annotations[wordsKey] == nil {
			return
		}
		err := c.RegisterFlagCompletionFunc(x.Name, func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			return complete(x.Annotations, begun)
		})
		if err != nil {
			panic(err) // registered twice
		}
	})
}

// complete returns what a flag's value that has begun may become.
func complete(annotations map[string][]string, begun string) ([]string, cobra.ShellCompDirective) {
	_, files := annotations[filesKey]
	_, list := annotations[listKey]
	before, directive := "", cobra.ShellCompDirectiveNoFileComp
	switch {
	case files:
		directive = cobra.ShellCompDirectiveDefault
	case list:
		before = begun[:strings.LastIndex(begun, ",")+1] // the words that are whole
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	var values []string
	for _, w := range annotations[wordsKey] {
		if strings.HasPrefix(before+w, begun) && !slices.Contains(strings.Split(before, ","), w) {
			values = append(values, before+w)
		}
	}
	return values, directive
}
