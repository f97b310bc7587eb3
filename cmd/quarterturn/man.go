package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "man --out DIR",
		Short: "Write the manual pages of every command",
		Long: "Write the manual pages of every command, in section 1. Put them where man looks, for instance\n" +
			"~/.local/share/man/man1.",
		Example: "  quarterturn man --out ~/.local/share/man/man1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same program writes the same pages
			return doc.GenManTree(root, &doc.GenManHeader{Title: "QUARTERTURN", Section: "1", Source: root.Version, Manual: "Quarterturn"}, out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder of the pages; made if it does not exist")
	return required(cmd, "out")
}
