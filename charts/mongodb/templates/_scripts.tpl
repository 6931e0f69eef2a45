{{/* Runs once, on an empty volume, against a mongod that only this container reaches (docker-entrypoint.sh, 127.0.0.1). */}}
{{- define "mongodb.usersScript" -}}
// Passwords go from file to server: through no argument, no environment, no log.
const fs = require('fs');
const password = (user) => fs.readFileSync(`/etc/mongodb/passwords/${user}-password`, 'utf8').trimEnd();
const admin = db.getSiblingDB('admin');
const make = (user, roles) => admin.createUser({user, pwd: password(user), roles, mechanisms: ['SCRAM-SHA-256']});

// The fleet: data and indexes of one database.
make('app', [{role: 'readWrite', db: '{{ .Values.auth.database }}'}]);
// Operators: everything.
make('operator', [{role: 'root', db: 'admin'}]);
{{- if .Values.exporter.enabled }}
// The exporter: figures of the server, no data.
make('exporter', [{role: 'clusterMonitor', db: 'admin'}]);
{{- end }}
{{- if .Values.backup.enabled }}
// The backup: may read everything, write nothing but its own settings.
make('backup', [{role: 'backup', db: 'admin'}]);
{{- end }}
fs.writeFileSync('/data/db/.users-made', '');
{{- end -}}

{{- define "mongodb.startScript" -}}
#!/bin/bash
set -eu
# The budget counts the descriptors of every connection; mongod would lower its limit silently if they were fewer.
wanted={{ include "mongodb.fileDescriptors" . }}
have=$(ulimit -n)
if [ "$have" != unlimited ] && [ "$have" -lt "$wanted" ]; then
    ulimit -n "$wanted" || {
        echo "$have file descriptors, the budget needs $wanted: raise the container runtime's limit" >&2
        exit 1
    }
fi
{{- range include "mongodb.users" . | fromJsonArray }}
[ -s /etc/mongodb/passwords/{{ . }}-password ] || {
    echo "no {{ . }}-password in the Secret {{ $.Values.auth.existingSecret }}, or it is empty" >&2
    exit 1
}
{{- end }}
# The image makes users on an empty volume only: a first start that was cut off would leave a server nobody can enter.
if [ -e /data/db/WiredTiger ] && [ ! -e /data/db/.users-made ]; then
    echo "/data/db holds data, but its users were not made here: delete the volume's claim and this pod to begin anew;" \
        "if the data came from elsewhere with users of its own, make the file .users-made beside it" >&2
    exit 1
fi
{{- if .Values.tls.enabled }}
(umask 077 && cat /etc/mongodb/tls/tls.crt /etc/mongodb/tls/tls.key > /run/mongodb/tls.pem)
{{- end }}
exec docker-entrypoint.sh mongod --config /etc/mongodb/conf/mongod.conf
{{- end -}}

{{/* Users that are made here, as a JSON list. */}}
{{- define "mongodb.users" -}}
{{- $users := list "app" "operator" -}}
{{- if .Values.exporter.enabled -}}{{- $users = append $users "exporter" -}}{{- end -}}
{{- if .Values.backup.enabled -}}{{- $users = append $users "backup" -}}{{- end -}}
{{- toJson $users -}}
{{- end -}}
