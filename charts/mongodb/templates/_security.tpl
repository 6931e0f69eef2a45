{{/*
The restricted Pod Security Standard. `user` is the numeric user and group of the image: a name could not be
checked by runAsNonRoot.
*/}}
{{- define "mongodb.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "mongodb.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The kernel's two hours would keep a dead network's connections in the budget. All three are safe sysctls. */}}
{{- define "mongodb.sysctls" -}}
- {name: net.ipv4.tcp_keepalive_time, value: {{ .Values.tcpKeepalive.idleSeconds | quote }}}
- {name: net.ipv4.tcp_keepalive_intvl, value: {{ .Values.tcpKeepalive.intervalSeconds | quote }}}
- {name: net.ipv4.tcp_keepalive_probes, value: {{ .Values.tcpKeepalive.probes | quote }}}
{{- end -}}
