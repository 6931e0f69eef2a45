{{/*
All rules as one group: evaluated in this order at one moment, so that an alert sees what was recorded just before. The
budget's numbers first, as constant series; then what is recorded (rules/), then the alerts (alerts/, one a file).
*/}}
{{- define "monitoring.groups" -}}
- name: agent-datastores
  interval: {{ int64 .Values.scrape.intervalSeconds }}s
  rules:
    {{- range .Values.budget.series }}
    - record: {{ .record }}
      expr: vector({{ int64 .value }})
      labels:
        {{- merge (dict "fleet" (include "monitoring.fleet" $)) .labels | toYaml | nindent 8 }}
    {{- end }}
    {{- range $path, $_ := .Files.Glob "rules/*.yaml" }}
    {{- $.Files.Get $path | fromYamlArray | toYaml | nindent 4 }}
    {{- end }}
    {{- range $path, $_ := .Files.Glob "alerts/*.yaml" }}
    {{- $alert := $.Files.Get $path | fromYaml }}
    {{- if not (has $alert.alert $.Values.rules.disabled) }}
    {{- $page := printf "%s/%s.md" ($.Values.rules.runbooks | default "charts/monitoring/runbooks" | trimSuffix "/") $alert.alert }}
    {{- $_ := set $alert.annotations "runbook_url" $page }}
    {{- $_ := set $alert "labels" (merge $alert.labels $.Values.rules.alertLabels) }}
    {{- list $alert | toYaml | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end -}}
