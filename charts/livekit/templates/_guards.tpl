{{/* What the schema cannot say. Each message names the key, what was given and what would do. */}}
{{- define "livekit.guards" -}}
{{- if not .Values.keys.existingSecret -}}
{{- fail "keys.existingSecret is empty: name the Secret that holds LIVEKIT_API_KEY and LIVEKIT_API_SECRET (README.md shows how to make it)" -}}
{{- end -}}
{{- if .Values.hostNetwork -}}
{{- if eq .Values.service.type "NodePort" -}}
{{- fail "service.type is NodePort and hostNetwork is true: both would take the same ports of the node. Set service.type: ClusterIP, or hostNetwork: false" -}}
{{- end -}}
{{- else if eq .Values.service.type "NodePort" -}}
{{- range $key, $port := dict "rtc.udpPort" .Values.rtc.udpPort "rtc.tcpPort" .Values.rtc.tcpPort "signal.nodePort" .Values.signal.nodePort -}}
{{- if or (lt (int $port) 30000) (gt (int $port) 32767) -}}
{{- fail (printf "%s is %v: with service.type NodePort the node must answer on that very port; accepted: 30000 to 32767" $key $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq (int .Values.rtc.tcpPort) (int .Values.signal.port) -}}
{{- fail (printf "rtc.tcpPort and signal.port are both %v: the server listens on each; choose two ports" .Values.signal.port) -}}
{{- end -}}
{{- if .Values.metrics.enabled -}}
{{- range $key, $port := dict "rtc.tcpPort" .Values.rtc.tcpPort "signal.port" .Values.signal.port -}}
{{- if eq (int $port) 6789 -}}
{{- fail (printf "%s is 6789, where metrics.enabled has the server show its metrics; choose another port" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.service.type "NodePort") (eq (int .Values.rtc.tcpPort) (int .Values.signal.nodePort)) -}}
{{- fail (printf "rtc.tcpPort and signal.nodePort are both %v: one TCP port of the node cannot be two; choose two ports" .Values.signal.nodePort) -}}
{{- end -}}
{{- end -}}
