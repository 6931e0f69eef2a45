{{/* registry/repository@digest, or :tag. A digest wins: it cannot be moved. */}}
{{- define "agent-worker.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.imageRegistry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .) $name -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name .Values.image.tag -}}
{{- end -}}
{{- end -}}
