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

{{/* Called with (list $ SECRETS): all of `secrets`, or those that are needed; and the user's further ones. */}}
{{- define "agent-worker.secretVariables" -}}
{{- include "agent-worker.fromSecrets" (index . 1) }}
{{- with (index . 0).Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "agent-worker.fromSecrets" -}}
{{- range $name, $source := . }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $source.existingSecret | quote }}, key: {{ $source.key | default $name | quote }}}
{{- end }}
{{- end -}}

{{/* LiveKit's, and the address of every datastore that a worker opens. */}}
{{- define "agent-worker.requiredSecrets" -}}
{{- $names := list "LIVEKIT_URL" "LIVEKIT_API_KEY" "LIVEKIT_API_SECRET" -}}
{{- range $name, $_ := .Values.budget.datastores -}}
{{- with include "agent-worker.datastoreUrl" (list $ $name) -}}{{- $names = append $names . -}}{{- end -}}
{{- end -}}
{{- join " " (uniq $names) -}}
{{- end -}}
