{{- /* What the pods of all parts have in common. Each takes (list root "edge"). */}}

{{- /* (list root "edge" annotations) */}}
{{- define "extauthz.pod.metadata" -}}
{{- $root := first . }}
{{- $part := index . 1 }}
{{- $values := index $root.Values $part }}
{{- $pair := list $root $part -}}
labels:
  {{- include "extauthz.labels" $pair | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- include "extauthz.annotations" (list $root $part ($values.podAnnotations | default dict) (last .)) }}
{{- end }}

{{- define "extauthz.pod.spec" -}}
{{- $root := first . }}
{{- $part := last . }}
{{- $values := index $root.Values $part -}}
automountServiceAccountToken: false
{{- /* They would look like settings: MLFLOW_PORT=tcp://... */}}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml (mergeOverwrite (deepCopy $root.Values.podSecurityContext) (deepCopy $values.podSecurityContext)) | nindent 2 }}
{{- with $values.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ int64 . }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (include "extauthz.selector" (list $root $part) | fromYaml)))) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with $values.extraInitContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "extauthz.container.extra" -}}
{{- $values := index (first .).Values (last .) }}
{{- with $values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml (first .).Values.securityContext | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "extauthz.volumes.extra" -}}
{{- with (index (first .).Values (last .)).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- define "extauthz.mounts.extra" -}}
{{- with (index (first .).Values (last .)).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- define "extauthz.env.extra" -}}
{{- with (index (first .).Values (last .)).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- define "extauthz.containers.extra" -}}
{{- with (index (first .).Values (last .)).extraContainers }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Go on serving until nobody sends this pod anything. Before 1.30 the API server refuses it. */}}
{{- define "extauthz.drain" -}}
{{- $seconds := int64 (index (first .).Values (last .)).drainSeconds }}
{{- if and $seconds (semverCompare ">=1.30-0" (first .).Capabilities.KubeVersion.Version) }}
lifecycle:
  preStop:
    sleep: {seconds: {{ $seconds }}}
{{- end }}
{{- end }}

{{- /* (list root "edge"): several pods. */}}
{{- define "extauthz.several" -}}
{{- $values := index (first .).Values (last .) }}
{{- $scaled := dig "enabled" false ($values.autoscaling | default dict) }}
{{- if or $scaled (gt (int64 $values.replicas) 1) }}true{{ end }}
{{- end }}

{{- define "extauthz.pdb" -}}
{{- $root := first . }}
{{- $budget := (index $root.Values (last .)).podDisruptionBudget }}
{{- if and $budget.enabled (include "extauthz.several" .) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "extauthz.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ toJson $budget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "extauthz.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "extauthz.hpa" -}}
{{- $scaling := (index (first .).Values (last .)).autoscaling }}
{{- if $scaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "extauthz.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "extauthz.partname" . | quote }}
  minReplicas: {{ int64 $scaling.minReplicas }}
  maxReplicas: {{ int64 $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ int64 $scaling.targetCPUUtilizationPercentage }}
  {{- with $scaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "extauthz.serviceAccount" -}}
{{- $account := (index (first .).Values (last .)).serviceAccount }}
{{- if $account.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "extauthz.serviceAccountName" . | quote }}
  namespace: {{ (first .).Release.Namespace | quote }}
  labels:
    {{- include "extauthz.labels" . | nindent 4 }}
  {{- include "extauthz.annotations" (list (first .) (last .) $account.annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- end }}
