package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
