package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/format/readfile"
	"github.com/quarterturn/quarterturn/format/signature"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

func inspectCommand() *cobra.Command {
	var slabs slabArgs
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect SLAB",
		Short: "Describe a slab: manifest and tensors",
		Example: "  quarterturn inspect model.slab\n" +
			"  quarterturn inspect model.slab --json | jq .labels",
		RunE: func(_ *cobra.Command, args []string) error {
			_, slab, m, err := slabs.read(args)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(json.RawMessage(sla.AppendJSON(nil, m)))
			}
			return printText(describe(m, len(slab)))
		},
	}
	slabs.add(cmd.Flags(), "the `slab`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the description as JSON")
	return cmd
}

// describe writes a slab's description for people.
func describe(m *format.Model, size int) string {
	var b strings.Builder
	p := func(format string, args ...any) { b.WriteString(plain.Line(fmt.Sprintf(format, args...)) + "\n") }
	p("name         %s", m.Name)
	p("hash         %x", m.Hash)
	p("size         %d bytes, %d parameters, %.2f million multiply-adds a pass", size, m.Parameters(), float64(m.MACs())/1e6)
	p("input        %d x %dx%d, mean %v, std %v", m.Input.Channels, m.Input.Width, m.Input.Height, m.Input.Mean, m.Input.Std)
	b.WriteString("classes      " + listed(fmt.Sprintf("%d: ", m.Classes()), plain.Names(m.Labels), "             ") + "\n")
	v := m.Provenance
	p("trained      by %s on %d images of %s: %s, %s, %d epochs, %d steps, seed %d", v.Tool, v.Images, v.Data, v.Net, v.Method, v.Epochs, v.Steps, v.Seed)
	p("recommended  %s", m.Recommended)
	p("")
	p("mode         passes  scores")
	for _, mode := range m.Modes() {
		passes := strconv.Itoa(m.Passes(mode))
		if mode == format.ModeAdaptive {
			passes = "1 to " + passes
		}
		line := fmt.Sprintf("%-12s %6s ", mode, passes)
		for _, x := range m.Metrics {
			if x.Mode == mode {
				interval := "" // which it has where every image counts alike
				if !strings.HasPrefix(x.Split, "class-balanced") {
					low, high := evaluate.Wilson(x.Accuracy, x.N)
					interval = fmt.Sprintf(" (95%% interval %.1f to %.1f)", 100*low, 100*high)
				}
				fitted := ""
				if x.Temperature != 0 {
					fitted = fmt.Sprintf(", to which its temperature of %.2f was fitted", x.Temperature)
				}
				p("%s %.2f%% right%s, NLL %.3f, ECE %.3f on %d %s images%s", line, 100*x.Accuracy, interval, x.NLL, x.ECE, x.N, x.Split, fitted)
				line = strings.Repeat(" ", len(line))
			}
		}
		if strings.TrimSpace(line) != "" {
			p("%s", line) // there are no scores
		}
	}
	for k, x := range m.Exits {
		if k == 0 {
			p("")
			p("exit  margin  temperature  share of the images it was calibrated with")
		}
		p("%4d  %6.3f  %11.3f  %.1f%%", k+1, x.Margin, x.Temperature, 100*x.Share)
	}
	p("")
	p("view  quarter turns  channels")
	for j, t := range m.Transforms {
		p("%4d  %13d  %v", j, t.Turns, t.Channels)
	}
	p("")
	p("value  layer                 op        reads   adds  output")
	for i, s := range m.Shapes()[1:] {
		l := &m.Layers[i]
		op := l.Op
		if l.Op == format.OpConv {
			op = fmt.Sprintf("%s %dx%d", l.Op, l.Kernel, l.Kernel)
		}
		p("%5d  %-20s  %-9s %5d  %5d  %dx%dx%d", i+1, l.Name, op, l.Input, l.Residual, s.Channels, s.Height, s.Width)
	}
	p("")
	p("tensor                        shape             offset")
	for i := range m.Tensors {
		t := &m.Tensors[i]
		p("%-29s %-16s %7d", t.Name, fmt.Sprint(t.Shape), t.Offset)
	}
	return b.String()
}

// listed returns names behind what introduces them, in lines of about 100 characters, each but the
// first behind an indentation.
func listed(intro string, names []string, indent string) string {
	var b strings.Builder
	column := 0
	put := func(s string) {
		b.WriteString(s)
		column += utf8.RuneCountInString(s)
	}
	put(intro)
	for i, name := range names {
		if i > 0 {
			put(",")
			if len(indent)+column+utf8.RuneCountInString(name) < 100 {
				put(" ")
			} else {
				b.WriteString("\n" + indent)
				column = 0
			}
		}
		put(name)
	}
	return b.String()
}

func verifyCommand() *cobra.Command {
	var slabs slabArgs
	var keys []string
	var signatureFile string
	cmd := &cobra.Command{
		Use:   "verify SLAB",
		Short: "Check a slab's integrity, its self-test and its signature",
		Long: "Check that a slab is whole and that its modes compute, natively and in the module, the bits that they computed\n" +
			"when it was made. With --key, check too that it was signed with minisign by that key: its checksums show damage,\n" +
			"not who made it.",
		Example: "  quarterturn verify model.slab\n" +
			"  minisign -S -s quarterturn.key -m model.slab\n" +
			"  quarterturn verify model.slab --key quarterturn.pub",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, slab, m, err := slabs.read(args)
			if err != nil {
				return err
			}
			comment := ""
			if len(keys) > 0 {
				if comment, err = verifySignature(slab, name, signatureFile, keys); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			} else if signatureFile != "" {
				return usagef("--signature needs the --key it is checked with")
			}
			ctx := cmd.Context()
			for _, e := range []host.Engine{host.Native, host.Wazero} {
				c, err := host.Open(ctx, slab, host.WithEngine(e), host.WithPoolSize(1))
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				err = c.Verify(ctx)
				c.Close(ctx)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", name, e, err)
				}
			}
			if len(keys) > 0 {
				comment = strings.ReplaceAll(comment, "\t", " ") // which minisign puts between the parts of its own comment
				comment = fmt.Sprintf("%s is signed by a trusted key: %s\n", plain.Name(name), plain.Line(comment))
			}
			return printText(comment + fmt.Sprintf("%s is whole; its self-test digest is %x, natively and in the module\n", plain.Name(name), m.SelfTest.Digest))
		},
	}
	f := cmd.Flags()
	slabs.add(f, "the `slab`")
	f.StringArrayVar(&keys, "key", nil, "a public `key` of minisign, as a file or the line that begins with RW; several times for several, of which one must have signed")
	f.StringVar(&signatureFile, "signature", "", "the signature's `file`; empty: the slab's name with .minisig")
	return cmd
}

// mostKey bounds the files of keys and signatures, which have two and four lines.
const mostKey = 64 << 10

// verifySignature checks a slab's signature and returns its trusted comment.
func verifySignature(slab []byte, name, file string, keys []string) (comment string, err error) {
	if file == "" {
		file = name + signature.Extension
	}
	var trusted []signature.Key
	for _, text := range keys {
		if !strings.HasPrefix(text, "RW") {
			b, err := readfile.AtMost(text, mostKey)
			if err != nil {
				return "", err
			}
			text = string(b)
		}
		k, err := signature.ParseKey(text)
		if err != nil {
			return "", err
		}
		trusted = append(trusted, k)
	}
	b, err := readfile.AtMost(file, mostKey)
	if err != nil {
		return "", err
	}
	return signature.Verify(slab, b, trusted...)
}
