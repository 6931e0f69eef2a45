{{/* What workers and the index Job have in common. */}}
{{- define "agent-worker.podCommon" -}}
serviceAccountName: {{ include "agent-worker.serviceAccountName" . | quote }}
automountServiceAccountToken: false
# Every Service of the namespace would otherwise become variables such as MONGODB_PORT.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "agent-worker.podSecurityContext" . | nindent 2 }}
# A packet to the cluster's DNS that gets lost costs 1 s instead of the resolver's 5, which outlast a datastore's connect
# timeout: calls were lost by it (seen with kind).
dnsConfig:
  options:
    - {name: timeout, value: "1"}
    - {name: attempts, value: "3"}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "agent-worker.topologySpread" -}}
{{- if kindIs "invalid" .Values.topologySpreadConstraints -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  # A worker somewhere is better than none: calls are waiting.
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "agent-worker.selectorLabels" . | nindent 6 }}
  # Each rollout spreads by itself, whatever still drains.
  matchLabelKeys: [pod-template-hash]
{{- else -}}
{{- toYaml .Values.topologySpreadConstraints -}}
{{- end -}}
{{- end -}}

{{/*
Zones by anti-affinity: the scheduler ignores a node in all spread constraints when it lacks the label of one of them, and
nodes outside clouds have no zone (seen with kind: both workers on one node).
*/}}
{{- define "agent-worker.affinity" -}}
{{- if kindIs "invalid" .Values.affinity -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: topology.kubernetes.io/zone
        labelSelector:
          matchLabels:
            {{- include "agent-worker.selectorLabels" . | nindent 12 }}
{{- else -}}
{{- toYaml .Values.affinity -}}
{{- end -}}
{{- end -}}

{{/*
Native sidecars: init containers that stay. Plain ones would get SIGTERM with the worker and be gone while it drains. What
a container does not say of its security is what the worker's says.
*/}}
{{- define "agent-worker.initContainers" -}}
{{- $secured := dict "securityContext" (include "agent-worker.containerSecurityContext" . | fromYaml) -}}
{{- range .Values.extraInitContainers }}
{{ list (merge (dict) . $secured) | toYaml }}
{{- end }}
{{- range .Values.sidecars }}
{{ list (merge (dict "restartPolicy" "Always") . $secured) | toYaml }}
{{- end }}
{{- end -}}
