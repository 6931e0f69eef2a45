{{/*
What the schema cannot say, in one place (guards.yaml includes it whatever the engine). Each message names the key, what
was given and what would do.
*/}}
{{- define "mongodb.guards" -}}
{{- $budget := include "mongodb.budget" . | fromJson -}}
{{- if not $budget.fits -}}
{{- fail (printf "the budget does not fit (mongodb: %d connections, limit %d): `make budget` names what would" (int64 $budget.total) (int64 $budget.limit)) -}}
{{- end -}}
{{- if ne .Values.engine "external" -}}
{{- /* All of them, though ferretdb has but its memory placed. */ -}}
{{- $_ := printf "%s%s%s" (include "mongodb.maxIncomingConnections" .) (include "mongodb.cacheMiB" .) (include "mongodb.memoryMiB" .) -}}
{{- end -}}
{{- if .Values.rateLimiter.enabled -}}
{{- include "mongodb.guards.rateLimiter" . -}}
{{- end -}}
{{- include (printf "mongodb.guards.%s" .Values.engine) (dict "root" . "Values" .Values "budget" $budget) -}}
{{- end -}}

{{- define "mongodb.guards.external" -}}
{{- if .budget.server -}}
{{- fail "engine is external, but the budget was solved for a server of our own: name the managed one's mongodb.plan or mongodb.limit in the stack file, or set engine: mongodb or operator" -}}
{{- end -}}
{{- range $key := list "exporter" "backup" "tls" "rateLimiter" -}}
{{- if (index $.Values $key).enabled -}}
{{- fail (printf "%s.enabled is true with engine external: nothing is rendered; a managed server has its own" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "maxIncomingConnections" "cacheMiB" "memoryMiB" "operatorCIDRs" -}}
{{- if index $.Values.server $key -}}
{{- fail (printf "server.%s is set with engine external: nothing is rendered, and a managed server would not hear of it: remove it" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mongodb.guards.ferretdb" -}}
{{- include "mongodb.guards.oneMember" . -}}
{{- include "mongodb.guards.users" . -}}
{{- if .Values.exporter.podMonitor -}}
{{- fail "exporter.podMonitor is true with engine ferretdb, which has no exporter: set it to false, or engine: mongodb" -}}
{{- end -}}
{{- if .Values.restore.archive -}}
{{- fail "restore.archive is set with engine ferretdb, which has no backups here: leave it empty, or set engine: mongodb" -}}
{{- end -}}
{{- range $key := list "exporter" "backup" "tls" "rateLimiter" -}}
{{- if (index $.Values $key).enabled -}}
{{- fail (printf "%s.enabled is true with engine ferretdb, which has no roles, no TLS here and no diagnostic data: set it to false, or engine: mongodb" $key) -}}
{{- end -}}
{{- end -}}
{{- if .Values.server.operatorCIDRs -}}
{{- fail "server.operatorCIDRs is set with engine ferretdb, which has no limit to be above of: leave it empty, or set engine: mongodb" -}}
{{- end -}}
{{- end -}}

{{- define "mongodb.guards.mongodb" -}}
{{- include "mongodb.guards.oneMember" . -}}
{{- include "mongodb.guards.users" . -}}
{{- include "mongodb.guards.exporter" . -}}
{{- if .Values.backup.enabled -}}
{{- include "mongodb.consumer" (dict "root" .root "name" "backup" "needs" 3 "who" "backup.enabled is true: mongodump") -}}
{{- end -}}
{{- if and .Values.restore.archive (not .Values.backup.enabled) -}}
{{- fail "restore.archive is set, backup.enabled is false: the volume that holds the archive is the backup's; set backup.enabled: true" -}}
{{- end -}}
{{- end -}}

{{- define "mongodb.guards.operator" -}}
{{- include "mongodb.guards.users" . -}}
{{- include "mongodb.guards.exporter" . -}}
{{- if lt (int64 .budget.nodes) 3 -}}
{{- fail (printf "mongodb.nodes is %d in the stack file, engine operator keeps data safe on 3 or more: set mongodb.nodes: 3" (int64 .budget.nodes)) -}}
{{- end -}}
{{- include "mongodb.consumer" (dict "root" .root "name" "operator" "needs" 10 "who" "the operator, its health checks and its users' sessions") -}}
{{- if .Values.backup.enabled -}}
{{- include "mongodb.consumer" (dict "root" .root "name" "backup" "needs" 5 "who" "backup.enabled is true: Percona Backup's agent") -}}
{{- if not .Values.operator.backup.storage -}}
{{- fail "backup.enabled is true with engine operator, operator.backup.storage is empty: say where backups go, for example {type: s3, s3: {bucket: …, credentialsSecret: …}}" -}}
{{- end -}}
{{- end -}}
{{- if .Values.tls.certManager.issuer -}}
{{- fail "tls.certManager.issuer is set with engine operator, which makes its certificates itself: leave it empty, or name a Secret in tls.existingSecret" -}}
{{- end -}}
{{- if .Values.restore.archive -}}
{{- fail "restore.archive is set with engine operator: restore with a PerconaServerMongoDBRestore (README.md)" -}}
{{- end -}}
{{- end -}}

{{/* What one member of ours needs, whichever server it runs. */}}
{{- define "mongodb.guards.oneMember" -}}
{{- if ne (int64 .budget.nodes) 1 -}}
{{- fail (printf "mongodb.nodes is %d in the stack file, engine %s is one member: set mongodb.nodes: 1, or engine: operator" (int64 .budget.nodes) .Values.engine) -}}
{{- end -}}
{{- include "mongodb.consumer" (dict "root" .root "name" "probes" "needs" 1 "who" "the readiness probe") -}}
{{- end -}}

{{- define "mongodb.guards.users" -}}
{{- if not .Values.auth.existingSecret -}}
{{- fail "auth.existingSecret is empty: name the Secret that holds app-password and operator-password (README.md shows how to make it)" -}}
{{- end -}}
{{- if and .Values.tls.enabled (eq .Values.engine "mongodb") (not .Values.tls.existingSecret) -}}
{{- fail "tls.enabled is true, tls.existingSecret is empty: name a Secret with tls.crt, tls.key and ca.crt (cert-manager writes it when tls.certManager.issuer is set)" -}}
{{- end -}}
{{- if and .Values.tls.certManager.issuer (not .Values.tls.enabled) -}}
{{- fail (printf "tls.certManager.issuer is %s, but tls.enabled is false: nobody would use the certificate" .Values.tls.certManager.issuer) -}}
{{- end -}}
{{- end -}}

{{/* A pool of 2 and a polling monitor (_exporter.tpl): 3 connections to its own member. */}}
{{- define "mongodb.guards.exporter" -}}
{{- if .Values.exporter.enabled -}}
{{- include "mongodb.consumer" (dict "root" .root "name" "exporter" "needs" 3 "who" "exporter.enabled is true: the exporter") -}}
{{- else if .Values.exporter.podMonitor -}}
{{- fail "exporter.podMonitor is true, but exporter.enabled is false: there is nothing to scrape" -}}
{{- end -}}
{{- end -}}

{{/* An unknown setParameter stops mongod at its start. */}}
{{- define "mongodb.guards.rateLimiter" -}}
{{- $image := ternary .Values.operator.image (printf "%s:%s" .Values.image.repository .Values.image.tag) (eq .Values.engine "operator") -}}
{{- /* 7.0-jammy is 7.0; 8 might be 8.0, so it has to be said. */ -}}
{{- $version := regexFind "^[0-9]+([.][0-9]+){0,2}" (last (splitList ":" $image)) -}}
{{- if and $version (semverCompare "<8.2.0" $version) -}}
{{- fail (printf "rateLimiter.enabled is true with %s: this rate limiter came with MongoDB 8.2; use such an image, or set rateLimiter.enabled: false" $image) -}}
{{- end -}}
{{- end -}}
