{{- define "mongodb.maxIncomingConnections" -}}
{{- include "mongodb.figure" (dict "root" . "key" "server.maxIncomingConnections" "given" .Values.server.maxIncomingConnections "figure" "max_incoming_connections") -}}
{{- end -}}

{{- define "mongodb.cacheMiB" -}}
{{- include "mongodb.figure" (dict "root" . "key" "server.cacheMiB" "given" .Values.server.cacheMiB "figure" "cache_mib") -}}
{{- end -}}

{{/* The same figure in the unit of mongod.conf, converted by the budget: templates do not compute. */}}
{{- define "mongodb.cacheGiB" -}}
{{- $_ := include "mongodb.cacheMiB" . -}}
{{- $budget := include "mongodb.budget" . | fromJson -}}
{{- $budget.server.cache_gib -}}
{{- end -}}

{{- define "mongodb.memoryMiB" -}}
{{- include "mongodb.figure" (dict "root" . "key" "server.memoryMiB" "given" .Values.server.memoryMiB "figure" "memory_mib") -}}
{{- end -}}

{{- define "mongodb.fileDescriptors" -}}
{{- include "mongodb.figure" (dict "root" . "key" "" "given" nil "figure" "file_descriptors") -}}
{{- end -}}
