{{- define "agent-worker.indexesName" -}}
{{- include "agent-worker.fullname" . }}-indexes-{{ include "agent-worker.indexesSpec" . | sha256sum | trunc 8 }}
{{- end -}}

{{- define "agent-worker.indexesSpec" -}}
backoffLimit: {{ int64 .Values.indexes.retries }}
activeDeadlineSeconds: {{ int64 .Values.indexes.deadlineSeconds }}
# One at a time: the budget counts one.
podReplacementPolicy: Failed
template:
  metadata:
    labels:
      {{- include "agent-worker.podLabels" . | nindent 6 }}
      app.kubernetes.io/component: indexes
    annotations:
      checksum/config: {{ include "agent-worker.checksum" . }}
  spec:
    {{- include "agent-worker.podCommon" . | nindent 4 }}
    restartPolicy: Never
    containers:
      - name: indexes
        image: {{ include "agent-worker.image" . }}
        imagePullPolicy: {{ .Values.image.pullPolicy }}
        args: [agent, indexes]
        envFrom:
          - configMapRef:
              name: {{ include "agent-worker.fullname" . }}
        env:
          {{- include "agent-worker.secretVariables" (list . (pick .Values.secrets "MONGODB_URL")) | trim | nindent 10 }}
        resources:
          requests:
            cpu: {{ int64 .Values.indexes.cpuMillicores }}m
            memory: {{ int64 .Values.indexes.memoryMiB }}Mi
          limits:
            memory: {{ int64 .Values.indexes.memoryMiB }}Mi
        terminationMessagePolicy: FallbackToLogsOnError
        securityContext:
          {{- include "agent-worker.containerSecurityContext" . | nindent 10 }}
        volumeMounts:
          - {name: tmp, mountPath: /tmp}
    volumes:
      - name: tmp
        emptyDir: {}
{{- end -}}
