{{/*
How many slots are wanted: jobs that run on workers that do not drain, and the buffer. Divided by the slots of a worker
and rounded up, which is what autoscalers do with an average value, it is the number of workers.

Nothing when no worker is scraped, which is not the same as no job: whoever asks keeps or raises the number then.
*/}}
{{- define "agent-worker.wantedSlots" -}}
{{- $default := printf "namespace=%q,pod=~%q" .Release.Namespace (printf "%s-[a-z0-9]+-[a-z0-9]+" (include "agent-worker.fullname" .)) -}}
{{- $selector := .Values.scaling.selector | default $default -}}
sum(agent_jobs_running{ {{- $selector -}} } unless on (namespace, pod) (agent_worker_state{ {{- $selector -}} ,state="draining"} == 1)) + {{ int64 .Values.budget.scaling.buffer_jobs -}}
{{- end -}}

{{/* Up at once: the budget's maximum is the only brake. Down no faster than the spare pays for. */}}
{{- define "agent-worker.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  # Without it a tenth too few workers is near enough for an autoscaler. From Kubernetes 1.35; the budget's buffer is
  # more than that tenth.
  {{- if semverCompare ">=1.35.0-0" .Capabilities.KubeVersion.Version }}
  tolerance: "0"
  {{- end }}
  policies:
    - {type: Pods, value: {{ include "agent-worker.maxReplicas" . }}, periodSeconds: 15}
scaleDown:
  stabilizationWindowSeconds: {{ int64 .Values.scaling.scaleDownStabilizationSeconds }}
  {{- if eq (int64 .Values.budget.scaling.scale_down_pods) 0 }}
  # The spare pays for none: see the budget's warnings.
  selectPolicy: Disabled
  {{- else }}
  policies:
    - {type: Pods, value: {{ int64 .Values.budget.scaling.scale_down_pods }}, periodSeconds: {{ int64 .Values.budget.scaling.scale_down_period_seconds }}}
  {{- end }}
{{- end -}}
