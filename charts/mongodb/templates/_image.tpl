{{/* registry/repository@digest, or :tag. A digest wins: it cannot be moved. Called with (dict "image" … "registry" …). */}}
{{- define "mongodb.image" -}}
{{- $image := .image -}}
{{- $name := $image.repository -}}
{{- if .registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .registry) $image.repository -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name $image.tag -}}
{{- end -}}
{{- end -}}
