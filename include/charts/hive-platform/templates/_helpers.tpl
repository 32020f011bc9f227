{{/*
Names, labels and images. The release's name is the prefix of every object, the namespace tells environments apart.
*/}}

{{/* Labels that select pods; they never change, and never hold a version. Give (list . "component"). */}}
{{- define "hive.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/*
Labels of an object. No chart version and no application version: each of them would change every object, and a
release whose only news is one digest must change one object. Give (list . "component").
*/}}
{{- define "hive.labels" -}}
{{- $root := index . 0 -}}
{{ include "hive.selector" . }}
app.kubernetes.io/part-of: {{ $root.Chart.Name }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- end }}

{{/* The version that somebody gave to a component: on its own workload and its pods alone. Give its values. */}}
{{- define "hive.version" -}}
{{- with .version }}
app.kubernetes.io/version: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Labels of a component's workload. Give (list . "component" values-of-it). */}}
{{- define "hive.workloadLabels" -}}
{{- include "hive.labels" . }}
{{- include "hive.version" (index . 2) }}
{{- end }}

{{/* Labels of a pod. Give (list . "component" values-of-it). */}}
{{- define "hive.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "hive.selector" . }}
app.kubernetes.io/part-of: {{ $root.Chart.Name }}
{{- include "hive.version" (index . 2) }}
{{- end }}

{{/* The image of a component by digest; hive.checks has said what is wrong with it. Give its values. */}}
{{- define "hive.image" -}}
{{ .image }}@{{ .digest }}
{{- end }}

{{/* A number without exponent or trailing .0: Helm reads every number of YAML as a float. */}}
{{- define "hive.number" -}}
{{- if eq (float64 .) (float64 (int64 .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}

{{/*
Age of slipway's last sign of life in seconds, nothing when no release is under way. kube-state-metrics shows a Lease;
its own label is renamed to exported_namespace by whoever scrapes it without honorLabels. The age is that of the moment
of the scrape, not of now: a Prometheus that was away says nothing about slipway.
*/}}
{{- define "hive.heartbeatAge" -}}
{{- $labels := printf `namespace=%q, lease="slipway-%s"` .Release.Namespace .Release.Name -}}
{{- $here := printf `kube_lease_renew_time{%s}` $labels -}}
{{- $exported := printf `kube_lease_renew_time{exported_%s}` $labels -}}
{{- $own := printf `min((timestamp(%s) - %s) or (timestamp(%s) - %s))` $here $here $exported $exported -}}
{{- .Values.deadManSwitch.heartbeat.ageQuery | default $own -}}
{{- end }}
