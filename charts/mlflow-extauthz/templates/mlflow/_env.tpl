{{- define "extauthz.mlflow.env" -}}
{{- $values := .Values -}}
{{- $settings := dict
    "INSTANCE_ID" (include "extauthz.instance" .)
    "FRAME_ANCESTORS" (include "extauthz.framedBy" .)
    "MLFLOW_ARTIFACTS_DESTINATION" (include "extauthz.artifacts" .)
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS" (include "extauthz.origin" (include "extauthz.publicUrl" .))
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION" "false"
    "MLFLOW_ENABLE_AI_GATEWAY" "false"
    "MLFLOW_ENABLE_REMOTE_ASSISTANT" "false"
    "MLFLOW_DISABLE_TELEMETRY" "true"
    "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED" "false"
    "DO_NOT_TRACK" "true"
    "MLFLOW_UNCLASSIFIED" $values.mlflow.unclassified
    "LOG_FORMAT" $values.log.format
    "LOG_LEVEL" $values.log.level
    "METRICS_LISTEN" (ternary "0.0.0.0:5002" "" $values.metrics.enabled)
}}
{{- if include "extauthz.mlflow.countsTogether" . }}
{{- $_ := set $settings "PROMETHEUS_MULTIPROC_DIR" "/var/lib/extauthz-metrics" }}
{{- end }}
{{- if $values.s3.enabled }}
{{- $_ := set $settings "MLFLOW_S3_ENDPOINT_URL" $values.s3.endpointUrl }}
{{- $_ := set $settings "AWS_DEFAULT_REGION" $values.s3.region }}
{{- end }}
{{- range $name, $value := $settings }}
{{- if $value }}
- name: {{ $name | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- $grant := include "extauthz.secret.grant" . }}
{{ include "extauthz.env.secret" (list "GRANT_KEY" $grant "grant-key") }}
{{ include "extauthz.env.optional" (list "GRANT_KEY_PREVIOUS" $grant "grant-key-previous") }}
{{- if include "extauthz.backendSecret" . }}
{{ include "extauthz.env.secret" (list "MLFLOW_BACKEND_STORE_URI" (include "extauthz.secret" .) "backend-store-uri") }}
{{- else }}
- name: MLFLOW_BACKEND_STORE_URI
  value: {{ include "extauthz.backendUri" . | quote }}
{{- end }}
{{- if $values.postgresql.enabled }}
{{ include "extauthz.env.secret" (list "PGPASSWORD" (include "extauthz.secret.postgres" .) "password") }}
{{- end }}
{{- if $values.s3.enabled }}
{{- $s3 := include "extauthz.secret.s3" . }}
{{ include "extauthz.env.secret" (list "AWS_ACCESS_KEY_ID" $s3 "access-key-id") }}
{{ include "extauthz.env.secret" (list "AWS_SECRET_ACCESS_KEY" $s3 "secret-access-key") }}
{{- end }}
{{- end }}

{{- /* Several processes add up what they count in a folder. */}}
{{- define "extauthz.mlflow.countsTogether" -}}
{{- if and .Values.metrics.enabled (gt (int64 .Values.mlflow.workers) 1) }}true{{ end }}
{{- end }}
