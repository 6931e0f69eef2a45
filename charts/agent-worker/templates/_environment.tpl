{{/* Variables that this chart sets itself. */}}
{{- define "agent-worker.ownVariables" -}}
AGENT_NAME AGENT_HOST AGENT_HTTP_PORT AGENT_METRICS_PORT AGENT_SLOT_DIRECTORY AGENT_SPOOL_DIRECTORY PROMETHEUS_MULTIPROC_DIR
{{- end -}}

{{/* The ConfigMap's content: the budget's variables as they are, and the user's. */}}
{{- define "agent-worker.configuration" -}}
{{- include "agent-worker.checkBudget" . -}}
{{- $user := dict -}}
{{- /* As JSON has a number: helm holds 10000000 for 1e+07. */ -}}
{{- range $name, $value := .Values.env -}}{{- $_ := set $user $name (kindIs "string" $value | ternary $value (toJson $value)) -}}{{- end -}}
{{- toYaml (merge (dict "AGENT_NAME" .Values.agentName) .Values.budget.environment $user) -}}
{{- end -}}

{{/* The ConfigMap's content is read when a process starts: other content rolls the pods. */}}
{{- define "agent-worker.checksum" -}}
{{- include "agent-worker.configuration" . | sha256sum -}}
{{- end -}}

{{/* Called with (list $ SECRETS): all of `secrets`, or those that are needed. */}}
{{- define "agent-worker.secretVariables" -}}
{{- range $name, $source := index . 1 }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $source.existingSecret | quote }}, key: {{ $source.key | default $name | quote }}}
{{- end }}
{{- with (index . 0).Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* `MONGODB_URL` for every datastore that a worker opens by itself. */}}
{{- define "agent-worker.requiredSecrets" -}}
{{- $names := list "LIVEKIT_URL" "LIVEKIT_API_KEY" "LIVEKIT_API_SECRET" -}}
{{- range $variable, $_ := .Values.budget.environment -}}
{{- if hasSuffix "_CONNECTIONS_PER_WORKER" $variable -}}
{{- $names = append $names (printf "%s_URL" (trimSuffix "_CONNECTIONS_PER_WORKER" $variable)) -}}
{{- end -}}
{{- end -}}
{{- join " " $names -}}
{{- end -}}
