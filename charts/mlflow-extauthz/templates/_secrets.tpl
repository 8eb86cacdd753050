{{- /* Secrets are found by a value or by the release's name: guides that only make secrets work. */}}
{{- define "extauthz.secret" -}}{{ .Values.existingSecret | default .Release.Name }}{{- end }}
{{- define "extauthz.secret.grant" -}}
{{ .Values.grantKey.existingSecret | default (printf "%s-grant" .Release.Name) }}
{{- end }}
{{- define "extauthz.secret.gitlab" -}}
{{ .Values.gitlab.existingSecret | default (printf "%s-gitlab" .Release.Name) }}
{{- end }}
{{- define "extauthz.secret.postgres" -}}
{{ .Values.postgresql.auth.existingSecret | default (printf "%s-postgres" .Release.Name) }}
{{- end }}
{{- define "extauthz.secret.s3" -}}
{{ .Values.s3.existingSecret | default (printf "%s-s3" .Release.Name) }}
{{- end }}
{{- define "extauthz.secret.sessions" -}}
{{ .Values.sessionStore.existingSecret | default (printf "%s-sessions" .Release.Name) }}
{{- end }}

{{- /* (list root name keys...): a secret of random keys, made once: whatever is there stays. */}}
{{- define "extauthz.generated" -}}
{{- $root := first . }}
{{- $name := index . 1 }}
{{- $found := lookup "v1" "Secret" $root.Release.Namespace $name | default dict }}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $found }}
{{- /* Who made it by hand keeps it: Helm would refuse to take it over. */}}
{{- if or (not $found) (eq $owner $root.Release.Name) }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "extauthz.labels" (list $root "secrets") | nindent 4 }}
  {{- include "extauthz.annotations" (list $root "secrets" (dict "helm.sh/resource-policy" "keep")) | nindent 2 }}
type: Opaque
data:
  {{- range rest (rest .) }}
  {{ . }}: {{ dig "data" . "" $found | default (randAlphaNum 64 | b64enc) }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* (list NAME secret key): an environment variable from a secret. */}}
{{- define "extauthz.env.secret" -}}
- name: {{ index . 0 | quote }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 | quote }}, key: {{ index . 2 | quote }}}
{{- end }}
{{- define "extauthz.env.optional" -}}
- name: {{ index . 0 | quote }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 | quote }}, key: {{ index . 2 | quote }}, optional: true}
{{- end }}
