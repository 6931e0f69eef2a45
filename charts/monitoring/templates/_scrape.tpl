{{/*
What is scraped, and the labels that rules and dashboards rely on: fleet, component, and worker or datastore and node. A list
of {name, podLabels, port, labels, podLabel}: podLabel is the label that takes the pod's name.
*/}}
{{- define "monitoring.targets" -}}
- name: workers
  podLabels: {{ .Values.targets.workers.podLabels | toJson }}
  port: {{ .Values.targets.workers.port }}
  labels: {fleet: {{ include "monitoring.fleet" . | quote }}, component: worker}
  podLabel: worker
{{- range $datastore, $target := .Values.targets.exporters }}
{{- if $target }}
- name: {{ $datastore | replace "_" "-" }}
  podLabels: {{ $target.podLabels | toJson }}
  port: {{ $target.port }}
  labels: {fleet: {{ include "monitoring.fleet" $ | quote }}, component: exporter, datastore: {{ $datastore }}}
  podLabel: node
{{- end }}
{{- end }}
{{- range .Values.exporters }}
- name: {{ .name }}
  podLabels: {{ include "monitoring.exporterLabels" (dict "root" $ "name" .name) | fromYaml | toJson }}
  port: metrics
  labels: {fleet: {{ include "monitoring.fleet" $ | quote }}, component: exporter, datastore: {{ .datastore }}, node: {{ .name }}}
  podLabel: pod
{{- end }}
{{- end -}}

{{- define "monitoring.exporterLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: exporter-{{ .name }}
{{- end -}}
