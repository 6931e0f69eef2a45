{{- define "redis.operatorResources" -}}
requests:
  cpu: {{ .Values.server.cpu }}
  memory: {{ include "redis.memoryMiB" . }}Mi
limits:
  memory: {{ include "redis.memoryMiB" . }}Mi
{{- end -}}

{{/* The operator's images write their configuration below /etc at start, so the root is not read-only here. */}}
{{- define "redis.operatorContainerSecurityContext" -}}
{{- omit (include "redis.containerSecurityContext" . | fromYaml) "readOnlyRootFilesystem" | toYaml -}}
{{- end -}}
