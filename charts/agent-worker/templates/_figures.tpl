{{/* Every number that the budget solves, by the key under which a user may repeat it. */}}

{{- define "agent-worker.replicas" -}}
{{- include "agent-worker.figure" (list . "replicas" .Values.replicas "fleet.max_replicas" "at most") -}}
{{- end -}}
{{- define "agent-worker.minReplicas" -}}
{{- include "agent-worker.figure" (list . "scaling.minReplicas" .Values.scaling.minReplicas "scaling.min_replicas" "at least") -}}
{{- end -}}
{{- define "agent-worker.maxReplicas" -}}
{{- include "agent-worker.figure" (list . "scaling.maxReplicas" .Values.scaling.maxReplicas "fleet.max_replicas" "at most") -}}
{{- end -}}
{{- define "agent-worker.maxSurge" -}}
{{- include "agent-worker.figure" (list . "rolling.maxSurge" .Values.rolling.maxSurge "fleet.surge" "exactly") -}}
{{- end -}}
{{- define "agent-worker.preStopSeconds" -}}
{{- include "agent-worker.figure" (list . "drain.preStopSeconds" .Values.drain.preStopSeconds "time.pre_stop_seconds" "exactly") -}}
{{- end -}}
{{- define "agent-worker.drainTimeoutSeconds" -}}
{{- include "agent-worker.figure" (list . "drain.timeoutSeconds" .Values.drain.timeoutSeconds "time.drain_timeout_seconds" "exactly") -}}
{{- end -}}
{{- define "agent-worker.gracePeriodSeconds" -}}
{{- include "agent-worker.figure" (list . "drain.gracePeriodSeconds" .Values.drain.gracePeriodSeconds "time.termination_grace_period_seconds" "at least") -}}
{{- end -}}
{{- define "agent-worker.progressDeadlineSeconds" -}}
{{- include "agent-worker.figure" (list . "drain.progressDeadlineSeconds" .Values.drain.progressDeadlineSeconds "time.progress_deadline_seconds" "at least") -}}
{{- end -}}
{{- define "agent-worker.memoryMiB" -}}
{{- include "agent-worker.figure" (list . "resources.memoryMiB" .Values.resources.memoryMiB "pod.memory_mib" "at least") -}}
{{- end -}}
{{- define "agent-worker.cpuMillicores" -}}
{{- include "agent-worker.figure" (list . "resources.cpuMillicores" .Values.resources.cpuMillicores "pod.cpu_millicores" "at least") -}}
{{- end -}}
{{- define "agent-worker.cpuLimitMillicores" -}}
{{- include "agent-worker.figure" (list . "resources.cpuLimitMillicores" .Values.resources.cpuLimitMillicores "pod.cpu_millicores" "at least") -}}
{{- end -}}
{{- define "agent-worker.maxUnavailable" -}}
{{- include "agent-worker.figure" (list . "podDisruptionBudget.maxUnavailable" .Values.podDisruptionBudget.maxUnavailable "scaling.max_unavailable" "at most") -}}
{{- end -}}
{{- define "agent-worker.quotaPods" -}}
{{- include "agent-worker.figure" (list . "quota.pods" .Values.quota.pods "fleet.quota_pods" "exactly") -}}
{{- end -}}
