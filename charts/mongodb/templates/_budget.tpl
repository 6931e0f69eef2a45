{{/*
The budget's side of every number. Templates compare with it and place it; they do not compute.
*/}}

{{/* The datastore's part of the solved budget, as JSON: (include … | fromJson). */}}
{{- define "mongodb.budget" -}}
{{- $stores := (.Values.budget).datastores | default dict -}}
{{- if not $stores.mongodb -}}
{{- fail "budget is missing: write the values with `make budget STACK=FILE VALUES=DIR` and pass them with -f" -}}
{{- end -}}
{{- /* Figures that were edited by hand are nobody's solution (infra/handoff/values.py seals them). */ -}}
{{- if ne (omit .Values.budget "seal" | toRawJson | sha256sum) (.Values.budget.seal | default "") -}}
{{- fail "budget was changed after it was solved (its seal does not match): change the stack file and write the values again with `make budget STACK=FILE VALUES=DIR`" -}}
{{- end -}}
{{- toJson $stores.mongodb -}}
{{- end -}}

{{/*
One number of our own server. Called with (dict "root" $ "key" "server.…" "given" … "figure" "…"):
the budget's figure, or a refusal if another was given.
*/}}
{{- define "mongodb.figure" -}}
{{- $budget := include "mongodb.budget" .root | fromJson -}}
{{- if not $budget.server -}}
{{- fail (printf "engine is %s, but the budget was solved for a server that is not ours (mongodb.%s in the stack file): set engine: external, or remove mongodb.%s there" .root.Values.engine $budget.limit_source $budget.limit_source) -}}
{{- end -}}
{{- $solved := index $budget.server .figure -}}
{{- if kindIs "invalid" $solved -}}
{{- fail (printf "budget.datastores.mongodb.server.%s is missing: the budget block is of another version; write the values again with `make budget`" .figure) -}}
{{- end -}}
{{- if and (not (kindIs "invalid" .given)) (ne (int64 .given) (int64 $solved)) -}}
{{- fail (printf "%s is %d, the budget solved %d (budget.datastores.mongodb.server.%s, digest %s): change the stack file and write the values again with `make budget`, or leave %s out" .key (int64 .given) (int64 $solved) .figure .root.Values.budget.digest .key) -}}
{{- end -}}
{{- int64 $solved -}}
{{- end -}}

{{/*
Refuses a consumer that the budget does not pay for. Called with (dict "root" $ "name" … "needs" connections "who" …).
*/}}
{{- define "mongodb.consumer" -}}
{{- $budget := include "mongodb.budget" .root | fromJson -}}
{{- $paid := 0 -}}
{{- range $budget.rows -}}
{{- if and (eq .kind "consumer") (eq .name $.name) -}}{{- $paid = int64 .connections -}}{{- end -}}
{{- end -}}
{{- if lt (int64 $paid) (int64 .needs) -}}
{{- fail (printf "%s may hold %d, mongodb.consumers.%s in the budget pays for %d: add `%s: {processes: 1, connections: %d}` to mongodb.consumers in the stack file and write the values again with `make budget`" .who (int64 .needs) .name (int64 $paid) .name (int64 .needs)) -}}
{{- end -}}
{{- end -}}
