package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/core"
)

// Output is the form of a verb's answer.
type Output struct {
	Format string // text, wide, json, jsonl or yaml
}

var formats = []string{"text", "wide", "json", "jsonl", "yaml"}

// Flags adds -o and --output.
func (o *Output) Flags(cmd *cobra.Command) {
	o.Format = "text"
	cmd.Flags().VarP(o, "output", "o", "form of the answer: text, wide, json, jsonl or yaml")
	SetSection(cmd, SectionOutput, "output")
	_ = cmd.RegisterFlagCompletionFunc("output", CompleteWords(formats...)) // the flag is there
}

// String, Set and Type are those of a flag.
func (o *Output) String() string { return o.Format }
func (o *Output) Type() string   { return "form" }
func (o *Output) Set(v string) error {
	for _, f := range formats {
		if v == f {
			o.Format = v
			return nil
		}
	}
	return fmt.Errorf("a form is one of %s%s", strings.Join(formats, ", "), core.DidYouMean(v, formats))
}

// Text says that the answer is for a person.
func (o *Output) Text() bool { return o.Format == "text" || o.Format == "wide" }

// Wide says that a person wants all columns.
func (o *Output) Wide() bool { return o.Format == "wide" }

// Print writes v, or calls text to write the same for a person. In jsonl a slice is one
// line per element.
func (o *Output) Print(w io.Writer, v any, text func(t *Table)) error {
	switch o.Format {
	case "json":
		return writeJSON(w, v, "  ")
	case "jsonl":
		if s := reflect.ValueOf(v); s.Kind() == reflect.Slice {
			for i := range s.Len() {
				if err := writeJSON(w, s.Index(i).Interface(), ""); err != nil {
					return err
				}
			}
			return nil
		}
		return writeJSON(w, v, "")
	case "yaml":
		b, err := yaml.MarshalWithOptions(v, yaml.UseJSONMarshaler())
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	t := &Table{tw: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	text(t)
	return t.tw.Flush()
}

func writeJSON(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}

// Table is text for a person, in columns. Rows that stand one behind the other are
// aligned with each other; Line ends that.
type Table struct{ tw *tabwriter.Writer }

// Row writes one row. A cell that is a number keeps its digits.
func (t *Table) Row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t.tw, "\t")
		}
		fmt.Fprint(t.tw, c)
	}
	fmt.Fprintln(t.tw)
}

// Line writes text as it is, outside of the columns.
func (t *Table) Line(format string, args ...any) {
	_ = t.tw.Flush()
	fmt.Fprintf(t.tw, format+"\n", args...)
	_ = t.tw.Flush()
}

// Color says whether w takes colours: a terminal, unless NO_COLOR or TERM=dumb; always
// with CLICOLOR_FORCE.
func Color(w io.Writer) bool {
	if v := os.Getenv("CLICOLOR_FORCE"); v != "" && v != "0" {
		return true
	}
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && IsTerminal(f)
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return append(names, "--help")
}
