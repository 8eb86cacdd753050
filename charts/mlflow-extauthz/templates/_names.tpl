{{- define "extauthz.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Short enough for the longest of our suffixes. */}}
{{- define "extauthz.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" }}
{{- else if contains (include "extauthz.name" .) .Release.Name }}
{{- .Release.Name | trunc 44 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "extauthz.name" .) | trunc 44 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* (list root "edge") */}}
{{- define "extauthz.partname" -}}
{{- printf "%s-%s" (include "extauthz.fullname" (first .)) (last .) }}
{{- end }}

{{- /* (list root "edge"): what never changes, so that selectors may have it. */}}
{{- define "extauthz.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ include "extauthz.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ last . | quote }}
{{- end }}

{{- /* (list root "edge") */}}
{{- define "extauthz.labels" -}}
{{- $root := first . -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | quote }}
{{ include "extauthz.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service | quote }}
app.kubernetes.io/part-of: extauthz
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* (list root "edge" annotations ...): the `annotations:` of an object, if there are any. */}}
{{- define "extauthz.annotations" -}}
{{- $all := deepCopy (first .).Values.commonAnnotations }}
{{- range rest (rest .) }}{{ $all = merge (deepCopy .) $all }}{{ end }}
{{- with $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (list root "edge" annotations ...): the metadata of an object that is called after its part. */}}
{{- define "extauthz.metadata" -}}
{{- $root := first . }}
{{- $part := index . 1 -}}
name: {{ include "extauthz.partname" (list $root $part) | quote }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "extauthz.labels" (list $root $part) | nindent 2 }}
{{- include "extauthz.annotations" . }}
{{- end }}

{{- /* (list root defaults image) */}}
{{- define "extauthz.image" -}}
{{- $root := first . }}
{{- $default := index . 1 }}
{{- $own := last . }}
{{- $repository := $own.repository | default $default.repository }}
{{- $digest := $own.digest }}
{{- $tag := $own.tag }}
{{- if not (or $digest $tag) }}
{{- $digest = $default.digest }}
{{- $tag = $default.tag | default $root.Chart.AppVersion }}
{{- end -}}
image: {{ ternary (printf "%s@%s" $repository $digest) (printf "%s:%s" $repository $tag) (not (empty $digest)) | quote }}
imagePullPolicy: {{ $own.pullPolicy | default $default.pullPolicy | quote }}
{{- end }}

{{- /* (list root "edge") */}}
{{- define "extauthz.serviceAccountName" -}}
{{- $account := (index (first .).Values (last .)).serviceAccount }}
{{- if $account.create }}
{{- $account.name | default (include "extauthz.partname" .) }}
{{- else }}
{{- $account.name | default "default" }}
{{- end }}
{{- end }}
