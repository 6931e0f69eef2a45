{{/* What workers and the index Job have in common. */}}
{{- define "agent-worker.podCommon" -}}
serviceAccountName: {{ include "agent-worker.serviceAccountName" . }}
automountServiceAccountToken: false
# Every Service of the namespace would otherwise become variables such as MONGODB_PORT.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "agent-worker.podSecurityContext" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "agent-worker.topologySpread" -}}
{{- if kindIs "invalid" .Values.topologySpreadConstraints -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  # A worker somewhere is better than none: calls are waiting.
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "agent-worker.selectorLabels" $ | nindent 6 }}
  # Each rollout spreads by itself, whatever still drains.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- else -}}
{{- toYaml .Values.topologySpreadConstraints -}}
{{- end -}}
{{- end -}}

{{/*
Native sidecars: init containers that stay. Plain ones would get SIGTERM with the worker and be gone while it drains. What
a container does not say of its security is what the worker's says.
*/}}
{{- define "agent-worker.initContainers" -}}
{{- $secured := dict "securityContext" (include "agent-worker.containerSecurityContext" . | fromYaml) -}}
{{- range .Values.extraInitContainers }}
{{ list (merge (dict) . $secured) | toYaml }}
{{- end }}
{{- range .Values.sidecars }}
{{ list (merge (dict "restartPolicy" "Always") . $secured) | toYaml }}
{{- end }}
{{- end -}}
