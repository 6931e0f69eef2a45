{{/*
What the schema cannot say, in one place (agent-worker.metadata includes it). Each message names the key, what
was given and what would do. Numbers are compared where they are placed, in _figures.tpl; those of parts that are off
are compared here.
*/}}
{{- define "agent-worker.guards" -}}
{{- include "agent-worker.checkBudget" . -}}
{{- include "agent-worker.guards.image" . -}}
{{- include "agent-worker.guards.variables" . -}}
{{- include "agent-worker.guards.secrets" . -}}
{{- include "agent-worker.guards.scaling" . -}}
{{- include "agent-worker.guards.quota" . -}}
{{- include "agent-worker.guards.pod" . -}}
{{- include "agent-worker.guards.network" . -}}
{{- if .Values.indexes.enabled -}}{{- include "agent-worker.guards.indexes" . -}}{{- end -}}
{{- end -}}

{{- define "agent-worker.guards.image" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is empty: name your image of docker/agent" -}}
{{- end -}}
{{- if not (or .Values.image.tag .Values.image.digest) -}}
{{- fail "image.tag and image.digest are both empty: give one; a digest is the same image tomorrow" -}}
{{- end -}}
{{- end -}}

{{/* A variable has one source; the budget's has the budget. */}}
{{- define "agent-worker.guards.variables" -}}
{{- $given := dict -}}
{{- range $name, $_ := .Values.env -}}{{- $_ := set $given $name "env" -}}{{- end -}}
{{- range $name, $_ := .Values.secrets -}}
{{- if hasKey $given $name -}}{{- fail (printf "secrets.%s: %s is set in env too: remove one" $name $name) -}}{{- end -}}
{{- $_ := set $given $name "secrets" -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $given .name -}}{{- fail (printf "extraEnv: %s is set in %s too: remove one" .name (get $given .name)) -}}{{- end -}}
{{- $_ := set $given .name "extraEnv" -}}
{{- end -}}
{{- range $name, $key := $given -}}
{{- if hasKey $.Values.budget.environment $name -}}
{{- fail (printf "%s.%s: %s is the budget's (%s, digest %s): remove it, or change the stack file and write the values again with `make budget STACK=FILE VALUES=DIR`" $key $name $name (get $.Values.budget.environment $name) $.Values.budget.digest) -}}
{{- end -}}
{{- if has $name (splitList " " (include "agent-worker.ownVariables" $)) -}}
{{- fail (printf "%s.%s: %s is set by this chart: remove it%s" $key $name $name (ternary "; agentName sets the name" "" (eq $name "AGENT_NAME"))) -}}
{{- end -}}
{{- /* A worker that has a datastore's address connects to it. */ -}}
{{- $datastore := trimSuffix "_URL" $name | lower -}}
{{- if and (hasSuffix "_URL" $name) (hasKey $.Values.networkPolicy.datastores $datastore) (not (hasKey $.Values.budget.datastores $datastore)) -}}
{{- fail (printf "%s.%s is given, but the budget counts no connections to %s: add it to the stack file and write the values again with `make budget STACK=FILE VALUES=DIR`, or remove it" $key $name $datastore) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "agent-worker.guards.secrets" -}}
{{- $required := splitList " " (include "agent-worker.requiredSecrets" .) -}}
{{- range $name := $required -}}
{{- if not (or (hasKey $.Values.secrets $name) (and (eq $name "LIVEKIT_URL") (hasKey $.Values.env $name))) -}}
{{- fail (printf "secrets.%s is missing: a worker needs %s. Name the Secret that holds it: secrets: {%s: {existingSecret: NAME}}" $name $name $name) -}}
{{- end -}}
{{- end -}}
{{- /* A ConfigMap is read by everybody who may look into the namespace. */ -}}
{{- range $name, $_ := .Values.env -}}
{{- if regexMatch "(?i)(^|_)(SECRET|PASSWORD|TOKEN|KEY)$" $name -}}
{{- fail (printf "env.%s looks like a secret, and env ends in a ConfigMap: name the Secret that holds it, secrets: {%s: {existingSecret: NAME}}" $name $name) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if and .value (regexMatch "(?i)(^|_)(SECRET|PASSWORD|TOKEN|KEY)$" .name) -}}
{{- fail (printf "extraEnv: %s looks like a secret and has a value: name the Secret that holds it, secrets: {%s: {existingSecret: NAME}}" .name .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "agent-worker.guards.scaling" -}}
{{- $by := .Values.scaling.by -}}
{{- if and (ne $by "none") (not (kindIs "invalid" .Values.replicas)) -}}
{{- fail (printf "replicas is %d, but scaling.by is %s, which sets the number of workers: remove replicas, or set scaling.by: none" (int64 .Values.replicas) $by) -}}
{{- end -}}
{{- $min := include "agent-worker.minReplicas" . | int64 -}}{{- $max := include "agent-worker.maxReplicas" . | int64 -}}
{{- if gt $min $max -}}
{{- fail (printf "scaling.minReplicas is %d, scaling.maxReplicas %d: accepted is at most that" $min $max) -}}
{{- end -}}
{{- if and (eq $by "keda") (not .Values.scaling.keda.serverAddress) -}}
{{- fail "scaling.keda.serverAddress is empty: KEDA asks Prometheus for the jobs that run; give its address, such as http://prometheus.monitoring.svc:9090" -}}
{{- end -}}
{{- end -}}

{{- define "agent-worker.guards.quota" -}}
{{- if and .Values.quota.enabled (not .Values.priorityClass.create) (not .Values.priorityClass.name) -}}
{{- fail "quota.enabled is true, priorityClass.create is false and priorityClass.name empty: the quota knows the workers' pods by their PriorityClass. Name one that only they have, or set priorityClass.create: true" -}}
{{- end -}}
{{- if and (not .Values.quota.enabled) (eq .Values.budget.fleet.mode "strict") -}}
{{- fail "quota.enabled is false, but the budget was solved for strict rolling, which only the quota holds: set quota.enabled: true, or fleet.rolling: {mode: fast} in the stack file" -}}
{{- end -}}
{{- $_ := include "agent-worker.quotaPods" . -}}
{{- $_ = include "agent-worker.maxUnavailable" . -}}
{{- /* Placed in the ConfigMap, with the budget's other variables. */ -}}
{{- $_ = include "agent-worker.drainTimeoutSeconds" . -}}
{{- end -}}

{{- define "agent-worker.guards.pod" -}}
{{- $given := .Values.resources.cpuLimitMillicores -}}
{{- if not (kindIs "invalid" $given) -}}
{{- $limit := include "agent-worker.cpuLimitMillicores" . | int64 -}}{{- $request := include "agent-worker.cpuMillicores" . | int64 -}}
{{- if lt $limit $request -}}
{{- fail (printf "resources.cpuLimitMillicores is %d, resources.cpuMillicores %d: accepted is at least that" $limit $request) -}}
{{- end -}}
{{- end -}}
{{- /* The kubelet counts the volume among the pod's disk, and evicts a pod that is above its limit, calls and all. */ -}}
{{- if and (not .Values.spool.existingClaim) (gt (int64 .Values.spool.sizeMiB) (int64 .Values.resources.ephemeralStorageMiB)) -}}
{{- fail (printf "spool.sizeMiB is %d, resources.ephemeralStorageMiB %d, which holds it: accepted is at most that" (int64 .Values.spool.sizeMiB) (int64 .Values.resources.ephemeralStorageMiB)) -}}
{{- end -}}
{{- if .Values.nodeLifecycle.protect -}}
{{- range $name := list "cluster-autoscaler.kubernetes.io/safe-to-evict" "karpenter.sh/do-not-disrupt" -}}
{{- if hasKey $.Values.podAnnotations $name -}}
{{- fail (printf "podAnnotations.%s: nodeLifecycle.protect is true and sets it: remove it, or set nodeLifecycle.protect: false" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "agent-worker.guards.network" -}}
{{- $first := first .Values.networkPolicy.livekit.udpPorts | int64 -}}{{- $last := last .Values.networkPolicy.livekit.udpPorts | int64 -}}
{{- if gt $first $last -}}
{{- fail (printf "networkPolicy.livekit.udpPorts is [%d, %d]: the first port is above the last" $first $last) -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- range $name, $datastore := .Values.budget.datastores -}}
{{- if ne ($datastore.dialled_by | default "workers") "workers" -}}{{- continue -}}{{- end -}}
{{- $place := get $.Values.networkPolicy.datastores $name | default dict -}}
{{- if not (include "agent-worker.datastorePorts" (list $ $name)) -}}
{{- $older := ternary "" ", or, as this block is of an earlier version, write the values again with `make budget STACK=FILE VALUES=DIR`" (hasKey $datastore "dialled_by") -}}
{{- fail (printf "networkPolicy.datastores.%s%s is missing: the budget counts connections to %s, which the policy would stop. Say where it is: {ports: [PORT], to: [PEER]}, or set networkPolicy.enabled: false%s" $name (ternary ".ports" "" (not (empty $place))) $name $older) -}}
{{- end -}}
{{- if and (not $place.to) (ne $datastore.limit_source "derived") (eq $name (include "agent-worker.datastoreOwner" (list $ $name))) -}}
{{- fail (printf "networkPolicy.datastores.%s.to is empty: %s is not ours (%s in the stack file), so the policy must be told where it is, such as [{ipBlock: {cidr: 10.1.0.0/16}}], or set networkPolicy.enabled: false" $name $name $datastore.limit_source) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Job connects like one job; the budget must have counted it. */}}
{{- define "agent-worker.guards.indexes" -}}
{{- $wait := int64 .Values.indexes.timeoutSeconds -}}{{- $deadline := int64 .Values.indexes.deadlineSeconds -}}
{{- if le $wait $deadline -}}
{{- fail (printf "indexes.timeoutSeconds is %d, indexes.deadlineSeconds %d: Pulumi would give up before Kubernetes says what became of the Job. Accepted is more than that" $wait $deadline) -}}
{{- end -}}
{{- $mongodb := .Values.budget.datastores.mongodb -}}
{{- $paid := 0 -}}
{{- /* Behind routers it is their shards that count consumers. */ -}}
{{- range $name, $datastore := .Values.budget.datastores -}}
{{- if eq "mongodb" (include "agent-worker.datastoreOwner" (list $ $name)) -}}
{{- range $datastore.rows -}}
{{- if and (eq .kind "consumer") (eq .name "indexes") -}}{{- $paid = int64 .connections -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if lt (int64 $paid) (int64 $mongodb.per_job) -}}
{{- fail (printf "indexes.enabled is true: the Job may hold %d connections, mongodb.consumers.indexes in the budget pays for %d. Add `indexes: {processes: 1, connections: %d}` to mongodb.consumers in the stack file and write the values again with `make budget STACK=FILE VALUES=DIR`, or set indexes.enabled: false" (int64 $mongodb.per_job) (int64 $paid) (int64 $mongodb.per_job)) -}}
{{- end -}}
{{- end -}}
