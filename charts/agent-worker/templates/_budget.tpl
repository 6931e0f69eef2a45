{{/*
The budget's side of every number. Templates compare with it and place it; they do not compute.
*/}}

{{/*
One number. Called with (list $ KEY GIVEN FIGURE ACCEPTED): the key of the values as a user writes it, what was given
(null: nothing), the figure's path in the budget (a section and a name), and which other values are accepted: "exactly",
"at least" or "at most" the figure.
*/}}
{{- define "agent-worker.figure" -}}
{{- $root := index . 0 -}}{{- $key := index . 1 -}}{{- $given := index . 2 -}}{{- $figure := index . 3 -}}{{- $accepted := index . 4 -}}
{{- include "agent-worker.checkBudget" $root -}}
{{- $path := splitList "." $figure -}}
{{- $solved := index $root.Values.budget (first $path) (last $path) -}}
{{- if kindIs "invalid" $given -}}
{{- int64 $solved -}}
{{- else -}}
{{- $contradicts := dict
      "exactly" (ne (int64 $given) (int64 $solved))
      "at least" (lt (int64 $given) (int64 $solved))
      "at most" (gt (int64 $given) (int64 $solved)) -}}
{{- if index $contradicts $accepted -}}
{{- fail (printf "%s is %d, the budget solved %d (budget.%s, digest %s): accepted is %s that. Leave %s out, or change the stack file and write the values again with `make budget STACK=FILE VALUES=DIR`" $key (int64 $given) (int64 $solved) $figure $root.Values.budget.digest $accepted $key) -}}
{{- end -}}
{{- int64 $given -}}
{{- end -}}
{{- end -}}

{{/*
Refuses a block that is missing, was edited by hand, or does not fit. Wherever the budget is first looked at: helm renders
templates in no order.
*/}}
{{- define "agent-worker.checkBudget" -}}
{{- $write := "write the values with `make budget STACK=FILE VALUES=DIR` and pass DIR/agent-worker.yaml with -f" -}}
{{- if not (.Values.budget).seal -}}
{{- fail (printf "budget is missing: %s" $write) -}}
{{- end -}}
{{- /* Figures that were edited by hand are nobody's solution (infra/handoff/values.py seals them). */ -}}
{{- if ne (omit .Values.budget "seal" | toRawJson | sha256sum) .Values.budget.seal -}}
{{- fail "budget was changed after it was solved (its seal does not match): change the stack file and write the values again with `make budget STACK=FILE VALUES=DIR`" -}}
{{- end -}}
{{- range $section := list "fleet" "time" "scaling" "pod" "datastores" "environment" -}}
{{- if not (hasKey $.Values.budget $section) -}}
{{- fail (printf "budget.%s is missing: this block is another chart's, or of another version; %s" $section $write) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.budget.fits -}}
{{- range $name, $datastore := .Values.budget.datastores -}}
{{- if not $datastore.fits -}}
{{- fail (printf "the budget does not fit (%s: %d connections, limit %d): `make budget STACK=FILE` names what would" $name (int64 $datastore.total) (int64 $datastore.limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
