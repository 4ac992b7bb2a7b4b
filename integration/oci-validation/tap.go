// Package tap writes test results in the Test Anything Protocol. It stands in for the module the validation programs
// import, which Debian does not have.
package tap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// T numbers and writes the results of one program.
type T struct {
	Writer io.Writer
	count  *int
	todo   bool
}

// New writes to standard output.
func New() *T { return &T{Writer: os.Stdout, count: new(int)} }

// Header opens the report; a plan of 0 tests is written at the end.
func (t *T) Header(tests int) {
	fmt.Fprintln(t.Writer, "TAP version 13")
	if tests > 0 {
		fmt.Fprintf(t.Writer, "1..%d\n", tests)
	}
}

// AutoPlan writes the plan from what has run.
func (t *T) AutoPlan() { fmt.Fprintf(t.Writer, "1..%d\n", *t.count) }

// Ok reports one result.
func (t *T) Ok(good bool, text string) {
	*t.count++
	word := "ok"
	if !good {
		word = "not ok"
	}
	if t.todo {
		text += " # TODO"
	}
	fmt.Fprintf(t.Writer, "%s %d - %s\n", word, *t.count, text)
}

// Todo gives a writer whose failures are expected; it counts on.
func (t *T) Todo() *T { return &T{Writer: t.Writer, count: t.count, todo: true} }

// Pass reports a success.
func (t *T) Pass(text string) { t.Ok(true, text) }

// Fail reports a failure.
func (t *T) Fail(text string) { t.Ok(false, text) }

// Skip reports tests that were not run.
func (t *T) Skip(tests int, text string) {
	for i := 0; i < tests; i++ {
		*t.count++
		fmt.Fprintf(t.Writer, "ok %d # SKIP %s\n", *t.count, text)
	}
}

// Diagnostic writes a remark.
func (t *T) Diagnostic(text string) {
	fmt.Fprintf(t.Writer, "# %s\n", strings.ReplaceAll(text, "\n", "\n# "))
}

// Diagnosticf writes a formatted remark.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML writes details of the result before; JSON is YAML too.
func (t *T) YAML(details interface{}) error {
	text, err := json.MarshalIndent(details, "  ", "  ")
	if err == nil {
		fmt.Fprintf(t.Writer, "  ---\n  %s\n  ...\n", text)
	}
	return err
}
