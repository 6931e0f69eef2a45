{{/*
How a datastore of the budget is reached. The block says so of each; no name is known here. Called with (list $ NAME).
A block of version 0.1.0 does not: there whatever a job opens by itself has a number of connections among the variables,
and anything else is part of the one whose name it begins with.
*/}}

{{/* Whose client, address and pods it is: its own, or those of the datastore that it is a part of. */}}
{{- define "agent-worker.datastoreOwner" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- $datastore := index $root.Values.budget.datastores $name -}}
{{- $opened := hasKey $root.Values.budget.environment (printf "%s_CONNECTIONS_PER_WORKER" (upper $name)) -}}
{{- if or $datastore.dialled_by $opened -}}
{{- $datastore.part_of | default $name -}}
{{- else -}}
{{- splitList "_" $name | first -}}
{{- end -}}
{{- end -}}

{{/* The variable with its address; nothing where workers have none. */}}
{{- define "agent-worker.datastoreUrl" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- $datastore := index $root.Values.budget.datastores $name -}}
{{- if $datastore.dialled_by -}}
{{- $datastore.url_variable | default "" -}}
{{- else if eq $name (include "agent-worker.datastoreOwner" .) -}}
{{- upper $name }}_URL
{{- end -}}
{{- end -}}

{{/* Its TCP ports, separated by spaces: those of the values, or else where such a server listens by default. */}}
{{- define "agent-worker.datastorePorts" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- $place := get $root.Values.networkPolicy.datastores $name | default dict -}}
{{- range $index, $port := $place.ports | default (index $root.Values.budget.datastores $name).ports -}}
{{- if $index }} {{ end -}}{{- int64 $port -}}
{{- end -}}
{{- end -}}
