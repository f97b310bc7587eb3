package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/format/plain"
)

// environmentName returns the variable that stands for a flag.
func environmentName(flag string) string {
	return "QUARTERTURN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets the flags of a command that the command line does not, by the
// variables named after them.
func fromEnvironment(cmd *cobra.Command) error {
	var failed error
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		value, ok := os.LookupEnv(environmentName(f.Name))
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s=%q: %w", environmentName(f.Name), value, err))
		}
	})
	if failed != nil {
		return usageError{failed}
	}
	return nil
}

// warnOfEnvironment warns of variables that are almost named after a flag. Others with the
// prefix may be Kubernetes's, which sets some for every service.
func warnOfEnvironment(cmd *cobra.Command) {
	var names []string
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { names = append(names, environmentName(f.Name)) })
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, environmentName("")) && !slices.Contains(names, name) {
			if question := plain.DidYouMean(name, names); question != "" {
				warn("there is no setting %s%s", name, question)
			}
		}
	}
}
