{{- define "redis.maxclients" -}}
{{- include "redis.figure" (dict "root" . "key" "server.maxclients" "given" .Values.server.maxclients "figure" "maxclients") -}}
{{- end -}}

{{- define "redis.maxMemoryMiB" -}}
{{- include "redis.figure" (dict "root" . "key" "server.maxMemoryMiB" "given" .Values.server.maxMemoryMiB "figure" "max_memory_mib") -}}
{{- end -}}

{{/* A server that saves forks: at worst every page is copied, so max_memory_mib counts twice. */}}
{{- define "redis.memoryMiB" -}}
{{- $figure := ternary "memory_mib" "memory_saving_mib" (eq .Values.persistence.mode "none") -}}
{{- include "redis.figure" (dict "root" . "key" "server.memoryMiB" "given" .Values.server.memoryMiB "figure" $figure) -}}
{{- end -}}

{{- define "redis.fileDescriptors" -}}
{{- include "redis.figure" (dict "root" . "key" "" "given" nil "figure" "file_descriptors") -}}
{{- end -}}
