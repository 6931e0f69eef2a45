{{- define "mongodb.mongodConf" -}}
# Rendered by charts/mongodb.
net:
  port: 27017
  bindIpAll: true
  {{- include "mongodb.connections" . | nindent 2 }}
  {{- if .Values.tls.enabled }}
  tls:
    mode: requireTLS
    # mongod wants certificate and key in one file: start.sh joins them, in memory.
    certificateKeyFile: /run/mongodb/tls.pem
    CAFile: /etc/mongodb/tls/ca.crt
    # Users prove who they are by password.
    allowConnectionsWithoutCertificates: true
  {{- end }}
security:
  authorization: enabled
storage:
  dbPath: /data/db
  wiredTiger:
    engineConfig:
      cacheSizeGB: {{ include "mongodb.cacheGiB" . }}
setParameter:
  authenticationMechanisms: SCRAM-SHA-256
  {{- with include "mongodb.rateLimiter" . }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Keys below net: who may hold how many connections. */}}
{{- define "mongodb.connections" -}}
maxIncomingConnections: {{ include "mongodb.maxIncomingConnections" . }}
{{- with .Values.server.operatorCIDRs }}
# Operators get in when the limit is reached.
maxIncomingConnectionsOverride:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Keys below setParameter: a burst waits in a queue instead of starting every handshake at once. */}}
{{- define "mongodb.rateLimiter" -}}
{{- if .Values.rateLimiter.enabled -}}
ingressConnectionEstablishmentRateLimiterEnabled: true
ingressConnectionEstablishmentRatePerSec: {{ .Values.rateLimiter.ratePerSecond }}
ingressConnectionEstablishmentBurstCapacitySecs: {{ .Values.rateLimiter.burstSeconds }}
ingressConnectionEstablishmentMaxQueueDepth: {{ .Values.rateLimiter.maxQueueDepth }}
{{- with .Values.server.operatorCIDRs }}
# Operators do not queue either. A string, for the file takes no lists below setParameter; mongod reads it as JSON.
ingressConnectionEstablishmentRateLimiterBypass: {{ dict "ranges" . | toJson | squote }}
{{- end }}
{{- end -}}
{{- end -}}
