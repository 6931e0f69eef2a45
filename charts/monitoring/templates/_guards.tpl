{{/* What the schema cannot say. Each message names the key, what was given and what would do. */}}
{{- define "monitoring.guards" -}}
{{- if not .Values.budget.series -}}
{{- fail "budget is missing: write the values with `make budget STACK=FILE VALUES=DIR` and pass them with -f" -}}
{{- end -}}
{{- /* Figures that were edited by hand are nobody's solution (infra/handoff/values.py seals them). */ -}}
{{- if ne (omit .Values.budget "seal" | toRawJson | sha256sum) (.Values.budget.seal | default "") -}}
{{- fail "budget was changed after it was solved (its seal does not match): change the stack file and write the values again with `make budget STACK=FILE VALUES=DIR`" -}}
{{- end -}}
{{- /* Its count would be compared with nothing. */ -}}
{{- $datastores := list -}}
{{- range .Values.budget.series -}}
{{- if eq .record "agent_budget:connections_limit" -}}
{{- $datastores = append $datastores .labels.datastore -}}
{{- end -}}
{{- end -}}
{{- range .Values.exporters -}}
{{- if not (has .datastore $datastores) -}}
{{- fail (printf "exporters.%s.datastore is %s; in the budget are: %s" .name .datastore (join ", " $datastores)) -}}
{{- end -}}
{{- /* mongodb_exporter: a pool of 2 and a polling monitor; redis_exporter: one connection at a time. */ -}}
{{- $needs := ternary 3 1 (eq .kind "mongodb") -}}
{{- $paid := int64 (get ($.Values.budget.exporters | default dict) .datastore | default 0) -}}
{{- if lt $paid (int64 $needs) -}}
{{- fail (printf "exporters.%s may hold %d connections, %s.consumers.exporter in the budget pays for %d: add `exporter: {processes: 1, connections: %d}` to %s.consumers in the stack file (each node has its own) and write the values again with `make budget`" .name $needs .datastore $paid $needs .datastore) -}}
{{- end -}}
{{- end -}}
{{- range .Values.rules.disabled -}}
{{- if not ($.Files.Get (printf "alerts/%s.yaml" .)) -}}
{{- fail (printf "rules.disabled names %s, which is no alert; accepted: the names of files in alerts/" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
