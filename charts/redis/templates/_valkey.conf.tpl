{{- define "redis.valkeyConf" -}}
# Rendered by charts/redis.
{{- if .Values.tls.enabled }}
port 0
tls-port 6379
tls-cert-file /etc/valkey/tls/tls.crt
tls-key-file /etc/valkey/tls/tls.key
tls-ca-cert-file /etc/valkey/tls/ca.crt
# Users prove who they are by password.
tls-auth-clients no
{{- else }}
port 6379
{{- end }}
# Every user has a password and the default user is off, so listening on all addresses is no open door.
protected-mode no
aclfile /run/valkey/users.acl

{{ include "redis.limits" . }}

dir /data
{{ include "redis.persistence" . }}
{{- end -}}

{{/* The budget's figures and what keeps dead clients from spending them. */}}
{{- define "redis.limits" -}}
maxclients {{ include "redis.maxclients" . }}
timeout {{ .Values.server.idleTimeoutSeconds }}
tcp-keepalive {{ .Values.server.keepaliveSeconds }}

maxmemory {{ include "redis.maxMemoryMiB" . }}mb
maxmemory-policy {{ .Values.server.maxMemoryPolicy }}
{{- end -}}

{{- define "redis.persistence" -}}
{{- if eq .Values.persistence.mode "none" -}}
save ""
appendonly no
{{- else if eq .Values.persistence.mode "rdb" -}}
save 900 1 300 10 60 10000
appendonly no
{{- else -}}
save ""
appendonly yes
appendfsync everysec
{{- end }}
{{- end -}}
