{{/*
What all pods share: identity, security, spread, probes.
*/}}

{{/* The head of a pod's spec. Give (list . "component" user-id hash-label). */}}
{{- define "hive.pod" -}}
{{- $root := index . 0 -}}
{{- $hash := index . 3 -}}
serviceAccountName: {{ $root.Release.Name }}
automountServiceAccountToken: false
# Without it every Service of the namespace becomes variables of the process.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 2 }}
  runAsGroup: {{ index . 2 }}
  fsGroup: {{ index . 2 }}
  seccompProfile:
    type: RuntimeDefault
{{- if $hash }}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  # Each version spreads by itself: a canary beside the stable version must not crowd onto one node.
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "hive.selector" $ | nindent 8 }}
    matchLabelKeys: [{{ $hash }}]
  {{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ $root.Values.tmpSizeLimit }}
{{- end }}

{{/* What every container may and may not. */}}
{{- define "hive.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- end }}

{{/*
Three probes with three meanings: started at all, may have work, still alive. Liveness asks nobody else: a restart does
not mend a database. Give a dict of port, ready, alive.
*/}}
{{- define "hive.probes" -}}
startupProbe:
  httpGet:
    path: {{ .alive }}
    port: {{ .port }}
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 90
readinessProbe:
  httpGet:
    path: {{ .ready }}
    port: {{ .port }}
  periodSeconds: 2
  # Longer than the application's own wait for PostgreSQL and Redis, so that its answer and its reason arrive.
  timeoutSeconds: 8
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: {{ .alive }}
    port: {{ .port }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
