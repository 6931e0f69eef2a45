// grafana-schema FILE...: exit status 0 when every file is a dashboard by Grafana's schema, with no field that it does
// not know, down to the panels' options and queries; 1 with a line for each problem.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	// The kinds of panel and query in use; another one's options would be read without a schema.
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	status := 0
	for _, file := range os.Args[1:] {
		for _, problem := range problems(file) {
			fmt.Fprintf(os.Stderr, "%s: %s\n", file, problem)
			status = 1
		}
	}
	os.Exit(status)
}

// problems lists what is wrong with a file, a line each.
func problems(file string) []string {
	content, err := os.ReadFile(file)
	if err != nil {
		return []string{err.Error()}
	}
	read := dashboard.NewDashboard()
	return append(lines(read.UnmarshalJSONStrict(content)), lines(read.Validate())...)
}

// lines of an error; none where nothing is wrong, for which the generated code may return a list without entries.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
}
