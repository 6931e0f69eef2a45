{{/* mongodump and mongorestore: as user backup or operator, one collection at a time, over 3 connections (a pool of 2 and a
polling monitor). The password goes by a file that only this container sees: not by --password, not by the URI. */}}
{{- define "mongodb.toolsUri" -}}
mongodb://{{ .user }}@{{ include "mongodb.host" .root }}:27017/?authSource=admin&directConnection=true&maxPoolSize=2&serverMonitoringMode=poll{{ if .root.Values.tls.enabled }}&tls=true&tlsCAFile=/etc/mongodb/tls/ca.crt{{ end }}
{{- end -}}

{{/* In single quotes YAML takes everything as it is but a single quote, which is written twice. */}}
{{- define "mongodb.toolsPassword" -}}
printf "password: '%s'\n" "$(sed "s/'/''/g" /etc/mongodb/passwords/password)" > /tmp/tools.yaml
{{- end -}}

{{- define "mongodb.backupScript" -}}
umask 077
{{ include "mongodb.toolsPassword" . }}
archive=$(date -u +%Y-%m-%dT%H-%M-%SZ).archive.gz
# Under another name until it is whole: a dump that was cut off is never restored, nor counted as kept.
rm -f /backup/*.partial
mongodump --config=/tmp/tools.yaml --uri='{{ include "mongodb.toolsUri" (dict "root" . "user" "backup") }}' \
    --numParallelCollections=1 --gzip --archive="/backup/$archive.partial"
mv "/backup/$archive.partial" "/backup/$archive"
ls -1 /backup/*.archive.gz | head -n -{{ .Values.backup.keep }} | xargs -r rm --
echo "kept:" && ls -1sh /backup
{{- end -}}

{{- define "mongodb.restoreScript" -}}
umask 077
{{ include "mongodb.toolsPassword" . }}
# The users stay as they are: they belong to this server's Secret.
exec mongorestore --config=/tmp/tools.yaml --uri='{{ include "mongodb.toolsUri" (dict "root" . "user" "operator") }}' \
    --numParallelCollections=1 --numInsertionWorkersPerCollection=1 --drop --nsExclude='admin.*' \
    --gzip --archive='/backup/{{ .Values.restore.archive }}'
{{- end -}}

{{- define "mongodb.backupClaim" -}}
{{- .Values.backup.volume.existingClaim | default (printf "%s-backup" (include "mongodb.fullname" .)) -}}
{{- end -}}

{{/* Below spec of a Job: one container with the tools. Called with (dict "root" $ "script" … "passwordKey" …). */}}
{{- define "mongodb.toolsJob" -}}
{{- $values := .root.Values -}}
backoffLimit: 1
activeDeadlineSeconds: {{ $values.backup.deadlineSeconds }}
template:
  metadata:
    labels:
      {{- include "mongodb.podLabels" .root | nindent 6 }}
      app.kubernetes.io/component: backup
  spec:
    {{- include "mongodb.podSpec" (dict "root" .root) | nindent 4 }}
    restartPolicy: Never
    securityContext:
      {{- include "mongodb.podSecurityContext" (dict "user" $values.runAsUser) | nindent 6 }}
    containers:
      - name: tools
        image: {{ include "mongodb.image" (dict "image" $values.image "registry" $values.imageRegistry) }}
        imagePullPolicy: {{ $values.image.pullPolicy }}
        command: [bash, -euo, pipefail, -c]
        args:
          - |
            {{- .script | nindent 12 }}
        resources:
          {{- toYaml $values.backup.resources | nindent 10 }}
        securityContext:
          {{- include "mongodb.containerSecurityContext" .root | nindent 10 }}
        volumeMounts:
          - {name: backup, mountPath: /backup}
          - {name: tmp, mountPath: /tmp}
          - {name: passwords, mountPath: /etc/mongodb/passwords, readOnly: true}
          # Only because the image declares them volumes.
          - {name: unused, mountPath: /data/db}
          - {name: unused, mountPath: /data/configdb}
          {{- if $values.tls.enabled }}
          - {name: tls, mountPath: /etc/mongodb/tls, readOnly: true}
          {{- end }}
    volumes:
      - name: backup
        persistentVolumeClaim:
          claimName: {{ include "mongodb.backupClaim" .root | quote }}
      - name: passwords
        secret:
          secretName: {{ $values.auth.existingSecret | quote }}
          defaultMode: 288 # 0440
          items:
            - {key: {{ .passwordKey }}, path: password}
      {{- if $values.tls.enabled }}
      - name: tls
        secret:
          secretName: {{ $values.tls.existingSecret | quote }}
          defaultMode: 288 # 0440
      {{- end }}
      # In memory: it holds the password.
      - name: tmp
        emptyDir: {medium: Memory, sizeLimit: 16Mi}
      - name: unused
        emptyDir: {sizeLimit: 1Mi}
{{- end -}}
