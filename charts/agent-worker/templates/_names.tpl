{{/* The release's name, with the chart's name unless it holds it already. Room is left for what is put behind it. */}}
{{- define "agent-worker.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Workers and the index Job alike: what policies select. */}}
{{- define "agent-worker.podLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Workers alone. What never changes while a release lives: selectors are immutable. */}}
{{- define "agent-worker.selectorLabels" -}}
{{ include "agent-worker.podLabels" . }}
app.kubernetes.io/component: worker
{{- end -}}

{{/* A name of its own: whoever counts workers, or lets them reach a datastore, does not mean it. */}}
{{- define "agent-worker.watcherLabels" -}}
app.kubernetes.io/name: agent-watcher
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: watcher
{{- end -}}

{{/* Labels of what is not a pod: versions here, so that a newer chart alone restarts nothing. */}}
{{- define "agent-worker.labels" -}}
{{ include "agent-worker.podLabels" . }}
app.kubernetes.io/part-of: agent-datastores
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whatever helm renders first, the guards come before it: it keeps no order among templates. */}}
{{- define "agent-worker.metadata" -}}
{{- include "agent-worker.guards" . -}}
name: {{ include "agent-worker.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "agent-worker.labels" . | nindent 2 }}
annotations:
  agent-datastores/budget: {{ .Values.budget.digest | quote }}
{{- end -}}

{{- define "agent-worker.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "agent-worker.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* Cluster-wide, so the namespace belongs to it. */}}
{{- define "agent-worker.priorityClassName" -}}
{{- .Values.priorityClass.name | default (printf "%s-%s" .Release.Namespace (include "agent-worker.fullname" .)) -}}
{{- end -}}

{{/*
What feeds and guards a pod is there before it, and goes after it: in a destroy a call that still runs keeps its policy,
its quota and its right not to be evicted. References as kustomize and Pulumi have them: group/namespaces/NAMESPACE/KIND/NAME.
*/}}
{{- define "agent-worker.podNeeds" -}}
{{- $needs := list (printf "/namespaces/%s/ConfigMap/%s" .Release.Namespace (include "agent-worker.fullname" .)) -}}
{{- if .Values.serviceAccount.create -}}
{{- $needs = append $needs (include "agent-worker.serviceAccountReference" .) -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $needs = append $needs (printf "networking.k8s.io/namespaces/%s/NetworkPolicy/%s" .Release.Namespace (include "agent-worker.fullname" .)) -}}
{{- end -}}
{{- join "," $needs -}}
{{- end -}}

{{- define "agent-worker.serviceAccountReference" -}}
{{- printf "/namespaces/%s/ServiceAccount/%s" .Release.Namespace (include "agent-worker.serviceAccountName" .) -}}
{{- end -}}

{{- define "agent-worker.watcherNeeds" -}}
{{- $needs := list -}}
{{- if .Values.serviceAccount.create -}}
{{- $needs = append $needs (include "agent-worker.serviceAccountReference" .) -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $needs = append $needs (printf "networking.k8s.io/namespaces/%s/NetworkPolicy/%s-watcher" .Release.Namespace (include "agent-worker.fullname" .)) -}}
{{- end -}}
{{- join "," $needs -}}
{{- end -}}

{{- define "agent-worker.workerNeeds" -}}
{{- $needs := list (include "agent-worker.podNeeds" .) -}}
{{- if .Values.quota.enabled -}}
{{- $needs = append $needs (printf "/namespaces/%s/ResourceQuota/%s" .Release.Namespace (include "agent-worker.fullname" .)) -}}
{{- end -}}
{{- if and .Values.priorityClass.create (or .Values.quota.enabled .Values.priorityClass.name) -}}
{{- $needs = append $needs (printf "scheduling.k8s.io/PriorityClass/%s" (include "agent-worker.priorityClassName" .)) -}}
{{- end -}}
{{- if .Values.podDisruptionBudget.enabled -}}
{{- $needs = append $needs (printf "policy/namespaces/%s/PodDisruptionBudget/%s" .Release.Namespace (include "agent-worker.fullname" .)) -}}
{{- end -}}
{{- if .Values.indexes.enabled -}}
{{- $needs = append $needs (printf "batch/namespaces/%s/Job/%s" .Release.Namespace (include "agent-worker.indexesName" .)) -}}
{{- end -}}
{{- join "," $needs -}}
{{- end -}}
