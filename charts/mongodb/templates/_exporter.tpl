{{- define "mongodb.exporterContainer" -}}
- name: exporter
  image: {{ include "mongodb.image" (dict "image" .Values.exporter.image "registry" .Values.imageRegistry) }}
  imagePullPolicy: {{ .Values.exporter.image.pullPolicy }}
  args:
    # Connection figures are diagnostic data; one client for all scrapes, instead of one each.
    - --collector.diagnosticdata
    - --mongodb.global-conn-pool
  env:
    # The name resolves to this pod (hostAliases), so that TLS finds the name that the certificate holds.
    - name: MONGODB_URI
      value: mongodb://{{ include "mongodb.host" . }}:27017/admin?directConnection=true&maxPoolSize=2&serverMonitoringMode=poll{{ if .Values.tls.enabled }}&tls=true&tlsCAFile=/etc/mongodb/tls/ca.crt{{ end }}
    - name: MONGODB_USER
      value: exporter
    - name: MONGODB_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ .Values.auth.existingSecret | quote }}, key: exporter-password}
  ports:
    - {name: metrics, containerPort: 9216}
  # Its front page: /metrics would ask the server at each look.
  readinessProbe:
    httpGet: {path: /, port: metrics}
  livenessProbe:
    httpGet: {path: /, port: metrics}
  resources:
    {{- toYaml .Values.exporter.resources | nindent 4 }}
  securityContext:
    runAsUser: {{ .Values.exporter.runAsUser }}
    runAsGroup: {{ .Values.exporter.runAsUser }}
    {{- include "mongodb.containerSecurityContext" . | nindent 4 }}
  {{- if .Values.tls.enabled }}
  volumeMounts:
    - {name: tls, mountPath: /etc/mongodb/tls, readOnly: true}
  {{- end }}
{{- end -}}
