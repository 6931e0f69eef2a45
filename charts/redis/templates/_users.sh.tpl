{{/*
Writes users.acl from the Secret's files. Passwords go from file to hash: through no argument, no environment, no log.
`NAME-password-previous` is accepted too while it is there, so that a password changes without a moment in which
nobody may enter.
*/}}
{{- define "redis.usersScript" -}}
#!/bin/sh
set -eu
umask 077
passwords=/etc/valkey/passwords
acl=/run/valkey/users.acl

hash() {
    printf '#'
    # $(cat) drops the newline that an editor leaves at a file's end.
    printf '%s' "$(cat "$1")" | sha256sum | cut -d ' ' -f 1 | tr -d '\n'
}

user() {
    name=$1
    shift
    if [ ! -s "$passwords/$name-password" ]; then
        echo "no $name-password in the Secret {{ .Values.auth.existingSecret }}, or it is empty" >&2
        exit 1
    fi
    printf 'user %s on %s' "$name" "$(hash "$passwords/$name-password")"
    if [ -s "$passwords/$name-password-previous" ]; then
        printf ' %s' "$(hash "$passwords/$name-password-previous")"
    fi
    printf ' %s\n' "$*"
}

{
    echo 'user default off resetkeys resetchannels -@all'
    # Data, pub/sub, streams, scripts; nothing that looks at or stops the server or other clients.
    user app '~*' '&*' '+@all' '-@admin' '-@dangerous'
    # Everything: operators' own way in, on the budget's reserve.
    user operator '~*' '&*' '+@all'
{{- if .Values.exporter.enabled }}
    # What redis_exporter asks with its defaults; no key, no CONFIG.
    user exporter resetkeys resetchannels '-@all' '+ping' '+info' '+client|setname' '+slowlog|len' '+slowlog|get' '+latency|latest' '+latency|histogram'
{{- end }}
} > "$acl.new"
mv "$acl.new" "$acl"
{{- end -}}

{{- define "redis.startScript" -}}
#!/bin/sh
set -eu
# The budget counts a descriptor for every client; valkey would lower maxclients silently if they were fewer.
wanted={{ include "redis.fileDescriptors" . }}
have=$(ulimit -n)
if [ "$have" != unlimited ] && [ "$have" -lt "$wanted" ]; then
    ulimit -n "$wanted" || {
        echo "$have file descriptors, the budget needs $wanted: raise the container runtime's limit" >&2
        exit 1
    }
fi
sh /etc/valkey/conf/users.sh
exec valkey-server /etc/valkey/conf/valkey.conf
{{- end -}}
