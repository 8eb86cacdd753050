{{- /* Where things are. */}}
{{- define "extauthz.provider" -}}{{ .Values.gitlabUrl | default .Values.sharinghubUrl | trimSuffix "/" }}{{- end }}

{{- define "extauthz.instance" -}}
{{- .Values.instanceId | default (include "extauthz.provider" . | trimPrefix "https://" | trimPrefix "http://") }}
{{- end }}

{{- define "extauthz.publicUrl" -}}
{{- $url := .Values.publicUrl }}
{{- if and (not $url) .Values.ingress.enabled .Values.ingress.hosts }}
{{- $first := first .Values.ingress.hosts }}
{{- $path := "" }}
{{- with $first.paths }}{{ $path = (first .).path | default "" }}{{ end }}
{{- $url = printf "%s://%s%s" (ternary "https" "http" (not (empty .Values.ingress.tls))) $first.host $path }}
{{- else if and (not $url) .Values.httpRoute.hostnames }}
{{- $url = printf "https://%s" (first .Values.httpRoute.hostnames) }}
{{- end }}
{{- trimSuffix "/" $url }}
{{- end }}
{{- define "extauthz.publicOrigin" -}}
{{- include "extauthz.publicUrl" . | regexFind "^https?://[^/]+" }}
{{- end }}
{{- define "extauthz.publicHost" -}}
{{- include "extauthz.publicOrigin" . | trimPrefix "https://" | trimPrefix "http://" | regexFind "^(\\[[^]]+\\]|[^:]+)" | lower }}
{{- end }}
{{- define "extauthz.publicPath" -}}
{{- include "extauthz.publicUrl" . | regexFind "[^/:]/.*$" | regexFind "/.*$" }}
{{- end }}

{{- /* An origin as browsers write it: without the port that goes without saying. */}}
{{- define "extauthz.origin" -}}
{{- $origin := regexFind "^https?://[^/]+" . | lower }}
{{- if hasPrefix "https:" $origin }}{{ trimSuffix ":443" $origin }}{{ else }}{{ trimSuffix ":80" $origin }}{{ end }}
{{- end }}

{{- define "extauthz.framedBy" -}}
{{- if .Values.frameAncestors }}{{ join "," .Values.frameAncestors }}
{{- else if .Values.sharinghubUrl }}{{ include "extauthz.origin" .Values.sharinghubUrl }}
{{- end }}
{{- end }}

{{- /* Without a port, so that the one Host that MLflow allows can also be written into an HTTPRoute. */}}
{{- define "extauthz.mlflowUrl" -}}
{{- if .Values.mlflow.enabled }}http://{{ include "extauthz.partname" (list . "mlflow") }}
{{- else }}{{ trimSuffix "/" .Values.mlflow.url }}
{{- end }}
{{- end }}
{{- define "extauthz.mlflowHost" -}}{{ include "extauthz.mlflowUrl" . | trimPrefix "http://" }}{{- end }}
{{- define "extauthz.mlflowName" -}}{{ include "extauthz.mlflowHost" . | regexFind "^(\\[[^]]+\\]|[^:]+)" }}{{- end }}
{{- define "extauthz.mlflowPort" -}}
{{- include "extauthz.mlflowHost" . | regexFind ":[0-9]+$" | trimPrefix ":" | default "80" }}
{{- end }}
{{- /* Name and namespace of the Service that an HTTPRoute leads to. */}}
{{- define "extauthz.mlflowService" -}}
{{- include "extauthz.mlflowName" . | splitList "." | first }}
{{- end }}
{{- define "extauthz.mlflowNamespace" -}}
{{- if .Values.mlflow.enabled }}{{ .Release.Namespace }}
{{- else }}
{{- $labels := include "extauthz.mlflowName" . | splitList "." }}
{{- if gt (len $labels) 1 }}{{ index $labels 1 }}{{ else }}{{ .Release.Namespace }}{{ end }}
{{- end }}
{{- end }}

{{- /* (list root url): the port of a URL. */}}
{{- define "extauthz.port" -}}
{{- $known := dict "http" "80" "https" "443" "redis" "6379" "rediss" "6379" }}
{{- $authority := regexFind "^[a-z]+://[^/?]+" . }}
{{- regexFind ":[0-9]+$" $authority | trimPrefix ":" | default (get $known (regexFind "^[a-z]+" .)) }}
{{- end }}

{{- define "extauthz.trustedHops" -}}
{{- if ne (toString .Values.trustedHops) "auto" }}{{ int64 .Values.trustedHops }}
{{- else if or .Values.ingress.enabled .Values.httpRoute.enabled }}1
{{- else }}0
{{- end }}
{{- end }}

{{- define "extauthz.hasLogin" -}}
{{- if and .Values.gitlabUrl .Values.gitlab.login }}true{{ end }}
{{- end }}
{{- define "extauthz.hasSessionStore" -}}
{{- if or .Values.sessionStore.url .Values.sessionStore.existingSecret }}true{{ end }}
{{- end }}

{{- /* The aliases. */}}
{{- define "extauthz.artifacts" -}}
{{- .Values.mlflow.artifactsDestination | default .Values.mlflowSharinghub.artifactsDestination | default "/home/mlflow/data/mlartifacts" }}
{{- end }}
{{- define "extauthz.backendSecret" -}}
{{- if or .Values.mlflow.backendStoreUriSecret .Values.mlflowSharinghub.backendStoreUriSecret }}true{{ end }}
{{- end }}
{{- define "extauthz.backendUri" -}}
{{- if .Values.postgresql.enabled -}}
{{- $auth := .Values.postgresql.auth -}}
{{- /* The password is in PGPASSWORD, where no character of it can be taken for the URI's. */ -}}
postgresql://{{ $auth.username }}@{{ include "extauthz.partname" (list . "postgresql") }}:5432/{{ $auth.database }}
{{- else -}}
{{ .Values.mlflow.backendStoreUri | default "sqlite:////home/mlflow/data/mlflow.db" }}
{{- end }}
{{- end }}
{{- define "extauthz.usesSqlite" -}}
{{- if and (not (include "extauthz.backendSecret" .)) (hasPrefix "sqlite" (include "extauthz.backendUri" .)) }}true{{ end }}
{{- end }}
{{- define "extauthz.usesFolder" -}}
{{- $files := include "extauthz.artifacts" . }}
{{- if or (not (contains "://" $files)) (hasPrefix "file:" $files) }}true{{ end }}
{{- end }}
{{- /* MLflow needs a volume. */}}
{{- define "extauthz.usesVolume" -}}
{{- if or (include "extauthz.usesSqlite" .) (include "extauthz.usesFolder" .) }}true{{ end }}
{{- end }}
