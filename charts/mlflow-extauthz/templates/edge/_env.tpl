{{- define "extauthz.edge.env" -}}
{{- $values := .Values -}}
{{- $settings := dict
    "GITLAB_URL" (trimSuffix "/" $values.gitlabUrl)
    "GITLAB_MANDATORY_TOPICS" $values.gitlabMandatoryTopics
    "CI_AUDIENCE" $values.ciAudience
    "SHARINGHUB_URL" (trimSuffix "/" $values.sharinghubUrl)
    "INSTANCE_ID" (include "extauthz.instance" .)
    "VISITOR_ACCESS" $values.visitorAccess
    "PUBLIC_URL" (include "extauthz.publicUrl" .)
    "MLFLOW_URL" (include "extauthz.mlflowUrl" .)
    "FRAME_ANCESTORS" (join "," $values.frameAncestors)
    "TRUSTED_HOPS" (include "extauthz.trustedHops" .)
    "ALLOW_INSECURE_HTTP" (toString $values.allowInsecureHttp)
    "PROJECT_CACHE_TIMEOUT" (toString (int64 $values.projectCacheTimeout))
    "STALE_IF_ERROR" (toString (int64 $values.staleIfError))
    "LOGIN_AUTO_REDIRECT" (toString $values.loginAutoRedirect)
    "PERMANENT_SESSION_LIFETIME" (toString (int64 $values.permanentSessionLifetime))
    "PROJECT_TAG" $values.projectTag
    "LOG_FORMAT" $values.log.format
    "LOG_LEVEL" $values.log.level
    "LOG_SUBJECTS" (toString $values.log.subjects)
}}
{{- if $values.gitlabUrl }}
{{- $_ := set $settings "GITLAB_OAUTH_SCOPES" $values.gitlabOauthScopes }}
{{- else }}
{{- $_ := set $settings "SHARINGHUB_STAC_COLLECTION" $values.sharinghubStacCollection }}
{{- $_ := set $settings "SHARINGHUB_AUTH_DEFAULT_TOKEN" (toString $values.sharinghubAuthDefaultToken) }}
{{- $_ := set $settings "SHARINGHUB_SESSION_COOKIE" $values.sharinghubSessionCookie }}
{{- $_ := set $settings "SHARINGHUB_AUTH_CACHE_TIMEOUT" (toString (int64 $values.sharinghubAuthCacheTimeout)) }}
{{- end }}
{{- range $name, $value := $settings }}
{{- if $value }}
- name: {{ $name | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- $secret := include "extauthz.secret" . }}
{{- $grant := include "extauthz.secret.grant" . }}
{{ include "extauthz.env.secret" (list "SECRET_KEY" $secret "secret-key") }}
{{ include "extauthz.env.optional" (list "SECRET_KEY_PREVIOUS" $secret "secret-key-previous") }}
{{ include "extauthz.env.secret" (list "GRANT_KEY" $grant "grant-key") }}
{{ include "extauthz.env.optional" (list "GRANT_KEY_PREVIOUS" $grant "grant-key-previous") }}
{{- $gitlab := include "extauthz.secret.gitlab" . }}
{{- if include "extauthz.hasLogin" . }}
{{ include "extauthz.env.secret" (list "GITLAB_OAUTH_CLIENT_ID" $gitlab "client-id") }}
{{ include "extauthz.env.secret" (list "GITLAB_OAUTH_CLIENT_SECRET" $gitlab "client-secret") }}
{{- end }}
{{- if $values.ciAudience }}
{{ include "extauthz.env.secret" (list "GITLAB_SERVICE_TOKEN" $gitlab "service-token") }}
{{- end }}
{{- if include "extauthz.hasSessionStore" . }}
{{ include "extauthz.env.secret" (list "SESSION_STORE_URL" (include "extauthz.secret.sessions" .) $values.sessionStore.key) }}
{{- end }}
{{- end }}
