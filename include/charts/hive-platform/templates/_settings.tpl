{{/*
Settings of the application as environment variables: settings.GROUP.FIELD becomes APP_FIELD, lists are joined by
commas, what is null or an empty list keeps the application's default.
*/}}

{{/* One value as the application reads it. */}}
{{- define "hive.settingText" -}}
{{- if kindIs "slice" . }}{{ join "," . }}
{{- else if kindIs "bool" . }}{{ . }}
{{- else if kindIs "string" . }}{{ . }}
{{- else }}{{ include "hive.number" . }}
{{- end -}}
{{- end }}

{{/* The data of a ConfigMap. Give the settings. */}}
{{- define "hive.settingsData" -}}
{{- range $group, $fields := . }}
{{- range $field, $value := $fields }}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "slice" $value) (empty $value))) }}
APP_{{ upper $field }}: {{ include "hive.settingText" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Settings of what follows the API: those of the API, until a release brings new ones and shows them to it alone. */}}
{{- define "hive.followerSettings" -}}
{{- .Values.followerSettings | default .Values.settings | toYaml }}
{{- end }}

{{/* Name of the ConfigMap: its content decides. Give (list . settings). */}}
{{- define "hive.configName" -}}
{{- $root := index . 0 -}}
{{ $root.Release.Name }}-config-{{ include "hive.settingsData" (index . 1) | sha256sum | trunc 10 }}
{{- end }}

{{/* Where a container of the backend's image takes its environment from. Give (list . settings). */}}
{{- define "hive.environment" -}}
{{- $root := index . 0 -}}
envFrom:
  - configMapRef:
      name: {{ include "hive.configName" . }}
env:
  # Optional, so that the process starts and says in one line which secret is missing; production refuses to go on.
  {{- range $name := list "APP_DATABASE_PASSWORD" "APP_REDIS_PASSWORD" "APP_SENTRY_DSN" }}
  - name: {{ $name }}
    valueFrom:
      secretKeyRef:
        name: {{ $root.Values.existingSecret }}
        key: {{ $name }}
        optional: true
  {{- end }}
{{- end }}

{{/* The least seconds the API needs after SIGTERM: serve on, end what is under way, leave. */}}
{{- define "hive.backendGrace" -}}
{{- add (ceil .Values.settings.api.drain_s | int) (int .Values.settings.api.shutdown_grace_s) 5 -}}
{{- end }}

{{/* The least seconds a worker needs: finish, or hand its tasks back, and leave. */}}
{{- define "hive.workerGrace" -}}
{{- $followers := include "hive.followerSettings" . | fromYaml -}}
{{- add (dig "celery" "worker_shutdown_grace_s" 60 $followers | int) 10 -}}
{{- end }}

{{/* Port of /metrics, /health and /ready of worker and beat. */}}
{{- define "hive.metricsPort" -}}
{{- $followers := include "hive.followerSettings" . | fromYaml -}}
{{- dig "monitoring" "metrics_port" 9101 $followers | int -}}
{{- end }}
