{{/* The release's name, with the chart's name unless it holds it already. */}}
{{- define "livekit.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes while a release lives: selectors are immutable. */}}
{{- define "livekit.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of pods: without versions, so that a newer chart alone restarts nothing. */}}
{{- define "livekit.podLabels" -}}
{{ include "livekit.selectorLabels" . }}
app.kubernetes.io/part-of: agent-datastores
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "livekit.labels" -}}
{{ include "livekit.podLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/*
What feeds and guards a pod is there before it, and goes after it, with Pulumi as with kustomize.
*/}}
{{- define "livekit.podNeeds" -}}
{{- $needs := list -}}
{{- $needs = append $needs (printf "/namespaces/%s/ConfigMap/%s" .Release.Namespace (include "livekit.fullname" .)) -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $needs = append $needs (printf "networking.k8s.io/namespaces/%s/NetworkPolicy/%s" .Release.Namespace (include "livekit.fullname" .)) -}}
{{- end -}}
{{- join "," $needs -}}
{{- end -}}
