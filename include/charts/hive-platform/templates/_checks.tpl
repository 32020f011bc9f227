{{/*
What a schema cannot say in a sentence, or cannot say at all. Helm checks types, limits and unknown keys before.
*/}}
{{- define "hive.checks" -}}
{{- if gt (len .Release.Name) 40 }}
{{- fail (printf "release name: %s is too long for the names of its Services\n  found     %d characters\n  expected  40 or fewer" .Release.Name (len .Release.Name)) }}
{{- end }}
{{- range $component := list "backend" "worker" "beat" "frontend" }}
{{- include "hive.checkImage" (list $component (index $.Values $component)) }}
{{- end }}
{{- include "hive.checkQueues" .Values.worker.queues }}
{{- include "hive.checkGrace" (list "backend" .Values.backend.terminationGracePeriodSeconds (include "hive.backendGrace" .) "settings.api.drain_s + settings.api.shutdown_grace_s + 5") }}
{{- include "hive.checkGrace" (list "worker" .Values.worker.terminationGracePeriodSeconds (include "hive.workerGrace" .) "settings.celery.worker_shutdown_grace_s + 10") }}
{{- range $component := list "backend" "worker" }}
{{- include "hive.checkAutoscaling" (list $component (index $.Values $component)) }}
{{- end }}
{{- end }}

{{- define "hive.checkImage" -}}
{{- $component := index . 0 -}}
{{- $image := (index . 1).image -}}
{{- $digest := (index . 1).digest -}}
{{- if or (contains "@" $image) (regexMatch ":[^/]*$" $image) }}
{{- fail (printf "%s.image: holds a tag or a digest, and a tag can be moved\n  found     %s\n  expected  the repository alone, for example registry.example.com/hive-platform/backend\n  do        put what was pushed into %s.digest" $component $image $component) }}
{{- end }}
{{- if not (regexMatch "^sha256:[0-9a-f]{64}$" $digest) }}
{{- fail (printf "%s.digest: %s\n  found     %q\n  expected  sha256: and 64 hexadecimal digits\n  do        take the digest that the push printed, for example --set %s.digest=sha256:..." $component (ternary "the image is not named" "not a digest; a tag can be moved, so it is refused" (empty $digest)) $digest $component) }}
{{- end }}
{{- end }}

{{- define "hive.checkQueues" -}}
{{- $known := list "scan" "merge" -}}
{{- range $queue := . }}
{{- if not (has $queue $known) }}
{{- fail (printf "worker.queues: %q is not a queue of the application\n  expected  %s\n  do        correct the name; a worker of an unknown queue would take no task" $queue (join ", " $known)) }}
{{- end }}
{{- end }}
{{- range $queue := $known }}
{{- if not (has $queue $) }}
{{- fail (printf "worker.queues: nobody would work off the queue %q\n  found     %s\n  expected  %s" $queue (join ", " $) (join ", " $known)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hive.checkGrace" -}}
{{- $given := index . 1 -}}
{{- if and (not (kindIs "invalid" $given)) (lt (int $given) (int (index . 2))) }}
{{- fail (printf "%s.terminationGracePeriodSeconds: Kubernetes would kill the process before it has ended its work\n  found     %d\n  expected  %d or more (%s)\n  do        remove it, then it is computed from the settings" (index . 0) (int $given) (int (index . 2)) (index . 3)) }}
{{- end }}
{{- end }}

{{- define "hive.checkAutoscaling" -}}
{{- $values := index . 1 -}}
{{- if and $values.autoscaling.enabled (lt (int $values.autoscaling.maxReplicas) (int $values.replicas)) }}
{{- fail (printf "%s.autoscaling.maxReplicas: less than %s.replicas, the least that autoscaling keeps\n  found     %d\n  expected  %d or more" (index . 0) (index . 0) (int $values.autoscaling.maxReplicas) (int $values.replicas)) }}
{{- end }}
{{- end }}
