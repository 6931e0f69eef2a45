// Reads dashboards strictly by Grafana's own schema, as Grafana generates it for Go. Grafana's dashboard-linter is not
// to be had as a module here; what it asks for beyond the schema is in tests/monitoring.
module tools/grafana-schema

go 1.25.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
