{{/* livekit-server's configuration. Keys are not in it: they come as environment from the Secret. */}}
{{- define "livekit.config" -}}
port: {{ .Values.signal.port }}
rtc:
  udp_port: {{ .Values.rtc.udpPort }}
  tcp_port: {{ .Values.rtc.tcpPort }}
  # The address comes from NODE_IP; asking a STUN server would need the internet, and would name the wrong one.
  use_external_ip: false
logging:
  level: {{ .Values.logLevel }}
  json: true
{{- if .Values.metrics.enabled }}
prometheus:
  port: 6789
{{- end }}
{{- end -}}
