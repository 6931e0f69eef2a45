{{/*
The restricted Pod Security Standard. A numeric user: runAsNonRoot cannot check a name.
*/}}
{{- define "agent-worker.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ int64 .Values.runAsUser }}
runAsGroup: {{ int64 .Values.runAsUser }}
fsGroup: {{ int64 .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
# Both clients ask for keepalive; when and how often is the kernel's, in the pod's network namespace.
sysctls:
  - {name: net.ipv4.tcp_keepalive_time, value: {{ .Values.keepalive.timeSeconds | toString | quote }}}
  - {name: net.ipv4.tcp_keepalive_intvl, value: {{ .Values.keepalive.intervalSeconds | toString | quote }}}
  - {name: net.ipv4.tcp_keepalive_probes, value: {{ .Values.keepalive.probes | toString | quote }}}
{{- end -}}

{{- define "agent-worker.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
