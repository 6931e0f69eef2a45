{{/*
What the schema cannot say, in one place (guards.yaml includes it whatever the engine). Each message names the key,
what was given and what would do.
*/}}
{{- define "redis.guards" -}}
{{- $budget := include "redis.budget" . | fromJson -}}
{{- if not $budget.fits -}}
{{- fail (printf "the budget does not fit (redis: %d connections, limit %d): `make budget` names what would" (int64 $budget.total) (int64 $budget.limit)) -}}
{{- end -}}
{{- if eq .Values.engine "external" -}}
{{- include "redis.guards.external" (dict "root" . "budget" $budget) -}}
{{- else -}}
{{- $_ := printf "%s%s%s" (include "redis.maxclients" .) (include "redis.maxMemoryMiB" .) (include "redis.memoryMiB" .) -}}
{{- if .Values.exporter.enabled -}}
{{- include "redis.consumer" (dict "root" . "name" "exporter" "needs" 1 "who" "exporter.enabled is true: the exporter") -}}
{{- end -}}
{{- include (printf "redis.guards.%s" .Values.engine) . -}}
{{- end -}}
{{- end -}}

{{- define "redis.guards.external" -}}
{{- if .budget.server -}}
{{- fail "engine is external, but the budget was solved for a server of our own: name the managed one's redis.plan or redis.limit in the stack file, or set engine: valkey or operator" -}}
{{- end -}}
{{- if .root.Values.exporter.enabled -}}
{{- fail "exporter.enabled is true with engine external: nothing is rendered; a managed server has metrics of its own" -}}
{{- end -}}
{{- if .root.Values.tls.enabled -}}
{{- fail "tls.enabled is true with engine external: nothing is rendered; rediss:// in REDIS_URL asks a managed server for it" -}}
{{- end -}}
{{- range $key := list "maxclients" "maxMemoryMiB" "memoryMiB" -}}
{{- if index $.root.Values.server $key -}}
{{- fail (printf "server.%s is set with engine external: nothing is rendered, and a managed server would not hear of it: remove it" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "redis.guards.valkey" -}}
{{- if not .Values.auth.existingSecret -}}
{{- fail "auth.existingSecret is empty: name the Secret that holds app-password and operator-password (README.md shows how to make it)" -}}
{{- end -}}
{{- if (.Values.budget.datastores).redis_sentinel -}}
{{- fail "engine is valkey, which has no Sentinels, but the budget counts them (redis.sentinels in the stack file): set engine: operator, or redis.sentinels: 0" -}}
{{- end -}}
{{- include "redis.consumer" (dict "root" . "name" "probes" "needs" 1 "who" "the readiness probe") -}}
{{- if and .Values.tls.enabled (not .Values.tls.existingSecret) -}}
{{- fail "tls.enabled is true, tls.existingSecret is empty: name a Secret with tls.crt, tls.key and ca.crt (cert-manager writes it when tls.certManager.issuer is set)" -}}
{{- end -}}
{{- if and .Values.tls.certManager.issuer (not .Values.tls.enabled) -}}
{{- fail (printf "tls.certManager.issuer is %s, but tls.enabled is false: nobody would use the certificate" .Values.tls.certManager.issuer) -}}
{{- end -}}
{{- if and .Values.exporter.podMonitor (not .Values.exporter.enabled) -}}
{{- fail "exporter.podMonitor is true, but exporter.enabled is false: there is nothing to scrape" -}}
{{- end -}}
{{- end -}}

{{- define "redis.guards.operator" -}}
{{- if not .Values.operator.usersSecret -}}
{{- fail "operator.usersSecret is empty: name the Secret that holds user.acl and password (README.md shows how to make it)" -}}
{{- end -}}
{{- if .Values.exporter.podMonitor -}}
{{- fail "exporter.podMonitor is true with engine operator, whose pods' ports are its own: set it to false; charts/monitoring or the operator's ServiceMonitor scrapes them" -}}
{{- end -}}
{{- if .Values.tls.certManager.issuer -}}
{{- fail "tls.certManager.issuer is set with engine operator: make the Certificate beside it and name its Secret in tls.existingSecret" -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.existingSecret) -}}
{{- fail "tls.enabled is true, tls.existingSecret is empty: name a Secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- if eq .Values.persistence.mode "none" -}}
{{- fail "persistence.mode is none with engine operator: a primary that restarts empty empties its replicas; set rdb or aof" -}}
{{- end -}}
{{- with (.Values.budget.datastores).redis_sentinel -}}
{{- if ne (int64 .limit) 10000 -}}
{{- fail (printf "the budget was solved for Sentinels of %d clients (redis.sentinel_limit in the stack file), the operator runs them with Redis's default of 10000: leave redis.sentinel_limit out" (int64 .limit)) -}}
{{- end -}}
{{- end -}}
{{- /* As many links as nodes: one of each replica, and the second that a full resynchronisation opens. */ -}}
{{- include "redis.consumer" (dict "root" . "name" "replicas" "needs" .Values.operator.nodes "who" (printf "operator.nodes is %d: replicas" (int64 .Values.operator.nodes))) -}}
{{- include "redis.consumer" (dict "root" . "name" "operator" "needs" 2 "who" "the operator and its probes") -}}
{{- end -}}
