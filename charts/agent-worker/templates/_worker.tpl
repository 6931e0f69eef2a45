{{- define "agent-worker.container" -}}
name: worker
image: {{ include "agent-worker.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# How long it drains is AGENT_DRAIN_TIMEOUT_SECONDS: this command of livekit-agents 1.8 has no --drain-timeout.
args: [livekit.agents, start, {{ .Values.entrypoint | quote }}]
envFrom:
  - configMapRef:
      name: {{ include "agent-worker.fullname" . }}
env:
  # Before Python starts: prometheus_client looks when it is imported. Two directories, for LiveKit empties the second.
  - {name: AGENT_SLOT_DIRECTORY, value: /run/agent/slots}
  - {name: PROMETHEUS_MULTIPROC_DIR, value: /run/agent/metrics}
  - {name: AGENT_SPOOL_DIRECTORY, value: /var/spool/agent}
  {{- include "agent-worker.secretVariables" (list . .Values.secrets) | trim | nindent 2 }}
ports:
  - {name: http, containerPort: 8081}
  - {name: metrics, containerPort: 9464}
# Up: the process answers. That its lifespan cannot be opened ends the process by itself (status 3).
startupProbe:
  httpGet: {path: /live, port: http}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: {{ int64 .Values.budget.pod.startup_probe_failures }}
# Ready: registered and not draining, whether or not a slot is free. A full fleet that turns unready would block
# evictions and stall rollouts.
readinessProbe:
  httpGet: {path: /ready, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
# Alive: the main loop answers, while draining and without LiveKit too: its calls go on, and a restart would cut them
# off. One that hangs does not drain either, so it gets the time in which jobs end, not the whole grace period.
livenessProbe:
  httpGet: {path: /live, port: http}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
  terminationGracePeriodSeconds: {{ int64 .Values.budget.time.job_end_seconds }}
{{- $preStop := include "agent-worker.preStopSeconds" . }}
{{- if ne $preStop "0" }}
lifecycle:
  preStop:
    sleep: {seconds: {{ $preStop }}}
{{- end }}
resources:
  requests:
    cpu: {{ include "agent-worker.cpuMillicores" . }}m
    memory: {{ include "agent-worker.memoryMiB" . }}Mi
    ephemeral-storage: {{ int64 .Values.resources.ephemeralStorageMiB }}Mi
  limits:
    {{- if not (kindIs "invalid" .Values.resources.cpuLimitMillicores) }}
    cpu: {{ include "agent-worker.cpuLimitMillicores" . }}m
    {{- end }}
    # As much as is asked for: a node that runs out of memory ends other pods than this one.
    memory: {{ include "agent-worker.memoryMiB" . }}Mi
    ephemeral-storage: {{ int64 .Values.resources.ephemeralStorageMiB }}Mi
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "agent-worker.containerSecurityContext" . | nindent 2 }}
volumeMounts:
  - {name: shared, mountPath: /run/agent}
  - {name: spool, mountPath: /var/spool/agent}
  - {name: tmp, mountPath: /tmp}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "agent-worker.volumes" -}}
# Slot locks and gauges live exactly as long as the pod: in memory, which counts as the worker's.
- name: shared
  emptyDir: {medium: Memory, sizeLimit: {{ int64 .Values.budget.pod.shared_memory_mib }}Mi}
- name: spool
  {{- if .Values.spool.existingClaim }}
  persistentVolumeClaim: {claimName: {{ .Values.spool.existingClaim | quote }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ int64 .Values.spool.sizeMiB }}Mi}
  {{- end }}
- name: tmp
  emptyDir: {}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
