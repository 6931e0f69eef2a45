{{- define "redis.exporterContainer" -}}
- name: exporter
  image: {{ include "redis.image" (dict "image" .Values.exporter.image "registry" .Values.imageRegistry) }}
  imagePullPolicy: {{ .Values.exporter.image.pullPolicy }}
  env:
    - name: REDIS_ADDR
      value: {{ ternary "rediss" "redis" .Values.tls.enabled }}://localhost:6379
    - name: REDIS_USER
      value: exporter
    - name: REDIS_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ .Values.auth.existingSecret | quote }}, key: exporter-password}
    # Its user may not read the configuration; INFO has maxclients as well.
    - name: REDIS_EXPORTER_CONFIG_COMMAND
      value: "-"
    {{- if .Values.tls.enabled }}
    - name: REDIS_EXPORTER_TLS_CA_CERT_FILE
      value: /etc/valkey/tls/ca.crt
    # The certificate is for the Service's name, not for localhost.
    - name: REDIS_EXPORTER_TLS_SERVER_NAME
      value: {{ include "redis.host" . }}
    {{- end }}
  ports:
    - {name: metrics, containerPort: 9121}
  # Its own page: /metrics would open a connection to the server for each look.
  readinessProbe:
    httpGet: {path: /health, port: metrics}
  livenessProbe:
    httpGet: {path: /health, port: metrics}
  resources:
    {{- toYaml .Values.exporter.resources | nindent 4 }}
  securityContext:
    runAsUser: {{ .Values.exporter.runAsUser }}
    runAsGroup: {{ .Values.exporter.runAsUser }}
    {{- include "redis.containerSecurityContext" . | nindent 4 }}
  {{- if .Values.tls.enabled }}
  volumeMounts:
    - {name: tls, mountPath: /etc/valkey/tls, readOnly: true}
  {{- end }}
{{- end -}}
