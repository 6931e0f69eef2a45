{{/* What the pods of both servers have in common: below spec of a pod template. Called with (dict "root" $ "user" …). */}}
{{- define "mongodb.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* TCP, not mongosh: a shell takes half a second of CPU and three connections or more, and fails when the server is full,
so that the kubelet would kill it just then. TCP holds one connection for a moment, and startup is over before readiness
begins: one in the budget. No liveness: a server that hangs still accepts, and one that is gone has ended. */}}
{{- define "mongodb.probes" -}}
startupProbe:
  tcpSocket: {port: mongodb}
  periodSeconds: 2
  # Ten minutes: recovery after a crash.
  failureThreshold: 300
readinessProbe:
  tcpSocket: {port: mongodb}
  periodSeconds: 5
{{- end -}}

{{- define "mongodb.resources" -}}
requests:
  cpu: {{ .Values.server.cpu }}
  memory: {{ include "mongodb.memoryMiB" . }}Mi
limits:
  memory: {{ include "mongodb.memoryMiB" . }}Mi
{{- end -}}

{{- define "mongodb.volumeClaimTemplate" -}}
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  {{- with .Values.persistence.storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.persistence.size }}
{{- end -}}
