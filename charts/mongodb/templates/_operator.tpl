{{/* The operator makes its own users' Secret when there is none of this name. */}}
{{- define "mongodb.systemUsersSecret" -}}
{{- .Values.operator.systemUsersSecret | default (printf "%s-system-users" (include "mongodb.fullname" .)) -}}
{{- end -}}

{{/* Percona Backup for MongoDB: an agent beside each member. */}}
{{- define "mongodb.operatorBackup" -}}
backup:
  enabled: {{ .Values.backup.enabled }}
  image: {{ .Values.operator.backup.image }}
  {{- if .Values.backup.enabled }}
  containerSecurityContext:
    {{- omit (include "mongodb.containerSecurityContext" . | fromYaml) "readOnlyRootFilesystem" | toYaml | nindent 4 }}
  storages:
    main:
      main: true
      {{- toYaml .Values.operator.backup.storage | nindent 6 }}
  tasks:
    - name: scheduled
      enabled: true
      schedule: {{ .Values.backup.schedule | quote }}
      storageName: main
      retention: {type: count, count: {{ .Values.backup.keep }}, deleteFromStorage: true}
  {{- end }}
{{- end -}}

{{/* One exporter a member, over loopback; members have certificates for their own names, so the name is not checked there. */}}
{{- define "mongodb.operatorExporter" -}}
- name: exporter
  image: {{ include "mongodb.image" (dict "image" .Values.exporter.image "registry" .Values.imageRegistry) }}
  imagePullPolicy: {{ .Values.exporter.image.pullPolicy }}
  args: [--collector.diagnosticdata, --collector.replicasetstatus, --mongodb.global-conn-pool]
  env:
    - name: MONGODB_URI
      value: mongodb://localhost:27017/admin?directConnection=true&maxPoolSize=2&serverMonitoringMode=poll{{ if .Values.tls.enabled }}&tls=true&tlsInsecure=true{{ end }}
    - name: MONGODB_USER
      value: exporter
    - name: MONGODB_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ .Values.auth.existingSecret | quote }}, key: exporter-password}
  ports:
    - {name: metrics, containerPort: 9216}
  resources:
    {{- toYaml .Values.exporter.resources | nindent 4 }}
  securityContext:
    runAsUser: {{ .Values.exporter.runAsUser }}
    runAsGroup: {{ .Values.exporter.runAsUser }}
    {{- include "mongodb.containerSecurityContext" . | nindent 4 }}
{{- end -}}

{{/* The labels that the operator gives its members. */}}
{{- define "mongodb.operatorPodLabels" -}}
app.kubernetes.io/name: percona-server-mongodb
app.kubernetes.io/instance: {{ include "mongodb.fullname" . }}
{{- end -}}
