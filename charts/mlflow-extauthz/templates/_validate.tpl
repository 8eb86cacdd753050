{{- /* What the schema cannot say. Each message names the value. */}}
{{- define "extauthz.validate" -}}
{{- include "extauthz.validate.provider" . }}
{{- include "extauthz.validate.places" . }}
{{- include "extauthz.validate.sessions" . }}
{{- include "extauthz.validate.mlflow" . }}
{{- include "extauthz.validate.gateway" . }}
{{- end }}

{{- define "extauthz.validate.provider" -}}
{{- $values := .Values }}
{{- if eq (empty $values.gitlabUrl) (empty $values.sharinghubUrl) }}
{{- fail "Set one of gitlabUrl and sharinghubUrl" }}
{{- end }}
{{- range $name := list "gitlabUrl" "sharinghubUrl" }}
{{- $url := get $values $name }}
{{- if and (hasPrefix "http:" $url) (not $values.allowInsecureHttp) }}
{{- fail (printf "%s is plain http: credentials could be read on the way. Use https, or set allowInsecureHttp=true" $name) }}
{{- end }}
{{- end }}
{{- if $values.sharinghubUrl }}
{{- if $values.gitlabMandatoryTopics }}
{{- fail "gitlabMandatoryTopics needs gitlabUrl: with sharinghubUrl, set sharinghubStacCollection" }}
{{- end }}
{{- if $values.ciAudience }}
{{- fail "ciAudience needs gitlabUrl: SharingHub knows no CI jobs" }}
{{- end }}
{{- else if not (has "openid" (splitList " " $values.gitlabOauthScopes)) }}
{{- fail "gitlabOauthScopes must contain openid" }}
{{- end }}
{{- if and $values.ciAudience (eq $values.ciAudience (trimSuffix "/" $values.gitlabUrl)) }}
{{- fail "ciAudience must not be gitlabUrl" }}
{{- end }}
{{- end }}

{{- define "extauthz.validate.places" -}}
{{- $url := include "extauthz.publicUrl" . }}
{{- if not $url }}
{{- fail "Set publicUrl: where people reach MLflow, such as https://mlflow.example.com" }}
{{- end }}
{{- if not (regexMatch "^https?://([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$" $url) }}
{{- fail (printf "publicUrl would be %s, from the first of ingress.hosts or httpRoute.hostnames: set it" $url) }}
{{- end }}
{{- if regexMatch "/\\.{1,2}(/|$)" $url }}
{{- fail "publicUrl must not have . or .. in its path" }}
{{- end }}
{{- if and (hasPrefix "http:" $url) (not .Values.allowInsecureHttp) (not (regexMatch "^http://(localhost|127\\.0\\.0\\.1)([:/]|$)" $url)) }}
{{- fail (printf "publicUrl is plain http (%s): set ingress.tls or an https publicUrl, or allowInsecureHttp=true" $url) }}
{{- end }}
{{- end }}

{{- define "extauthz.validate.sessions" -}}
{{- $values := .Values }}
{{- if and (include "extauthz.several" (list . "edge")) (include "extauthz.hasLogin" .) (not (include "extauthz.hasSessionStore" .)) }}
{{- fail (printf "%s needs sessionStore.url or sessionStore.existingSecret with GitLab login: each token refreshes once, so they must share sessions. Or set gitlab.login=false" (ternary "edge.autoscaling.enabled" "edge.replicas above 1" $values.edge.autoscaling.enabled)) }}
{{- end }}
{{- if and $values.sessionStore.url $values.sessionStore.existingSecret }}
{{- fail "Set sessionStore.url or sessionStore.existingSecret, not both" }}
{{- end }}
{{- range $name := list "edge" "envoy" }}
{{- $scaling := (get $values $name).autoscaling }}
{{- if gt (int64 $scaling.minReplicas) (int64 $scaling.maxReplicas) }}
{{- fail (printf "%s.autoscaling.minReplicas is above maxReplicas" $name) }}
{{- end }}
{{- end }}
{{- range $name := list "edge" "envoy" "mlflow" }}
{{- $part := get $values $name }}
{{- if ge (int64 $part.drainSeconds) (int64 $part.terminationGracePeriodSeconds) }}
{{- fail (printf "%s.terminationGracePeriodSeconds must be above %s.drainSeconds" $name $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "extauthz.validate.mlflow" -}}
{{- $values := .Values }}
{{- $mlflow := $values.mlflow }}
{{- $alias := $values.mlflowSharinghub }}
{{- if and $mlflow.artifactsDestination $alias.artifactsDestination (ne $mlflow.artifactsDestination $alias.artifactsDestination) }}
{{- fail "mlflow.artifactsDestination and mlflowSharinghub.artifactsDestination differ: set one" }}
{{- end }}
{{- if and $mlflow.backendStoreUriSecret (hasKey $alias "backendStoreUriSecret") (not $alias.backendStoreUriSecret) }}
{{- fail "mlflow.backendStoreUriSecret and mlflowSharinghub.backendStoreUriSecret differ: set one" }}
{{- end }}
{{- if $mlflow.enabled }}
{{- if $mlflow.url }}
{{- fail "mlflow.url is for an MLflow that is there: set mlflow.enabled=false" }}
{{- end }}
{{- if regexMatch "://[^/@]*:[^/]*@" $mlflow.backendStoreUri }}
{{- fail "mlflow.backendStoreUri holds a password: put it into a secret, and set mlflow.backendStoreUriSecret" }}
{{- end }}
{{- $databases := list }}
{{- if $values.postgresql.enabled }}{{ $databases = append $databases "postgresql.enabled" }}{{ end }}
{{- if include "extauthz.backendSecret" . }}{{ $databases = append $databases "mlflow.backendStoreUriSecret" }}{{ end }}
{{- if $mlflow.backendStoreUri }}{{ $databases = append $databases "mlflow.backendStoreUri" }}{{ end }}
{{- if gt (len $databases) 1 }}
{{- fail (printf "Set one of %s: MLflow has one database" (join " and " $databases)) }}
{{- end }}
{{- if gt (int64 $mlflow.replicas) 1 }}
{{- if include "extauthz.usesSqlite" . }}
{{- fail "mlflow.replicas above 1 needs postgresql.enabled or mlflow.backendStoreUriSecret: SQLite has one writer" }}
{{- end }}
{{- if and (include "extauthz.usesFolder" .) (or (ne $values.persistence.accessMode "ReadWriteMany") (not $values.persistence.enabled)) }}
{{- fail "mlflow.replicas above 1 needs an mlflow.artifactsDestination in S3, or persistence.accessMode=ReadWriteMany" }}
{{- end }}
{{- end }}
{{- if and $values.s3.enabled (not (hasPrefix "s3:" (include "extauthz.artifacts" .))) }}
{{- fail "s3.enabled needs mlflow.artifactsDestination, such as s3://bucket" }}
{{- end }}
{{- else }}
{{- if not $mlflow.url }}
{{- fail "mlflow.enabled=false needs mlflow.url: where MLflow is" }}
{{- end }}
{{- if $values.postgresql.enabled }}
{{- fail "postgresql.enabled needs mlflow.enabled: it is MLflow's database" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "extauthz.validate.gateway" -}}
{{- $values := .Values }}
{{- $mode := $values.gateway.mode }}
{{- if and $values.ingress.enabled (ne $mode "envoy") }}
{{- fail (printf "ingress.enabled leads to the chart's own Envoy, and gateway.mode is %s: its gateway takes what comes in" $mode) }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) }}
{{- fail "ingress.enabled needs ingress.hosts" }}
{{- end }}
{{- $routes := or (eq $mode "envoyGateway") (and (eq $mode "istio") (eq $values.istio.route "httpRoute")) (and (eq $mode "envoy") $values.httpRoute.enabled) }}
{{- if and $routes (not $values.httpRoute.parentRefs) }}
{{- fail "Set httpRoute.parentRefs: the Gateways that lead here, such as [{name: public}]" }}
{{- end }}
{{- if eq $mode "istio" }}
{{- if and (eq $values.istio.route "virtualService") (not $values.istio.gateway.names) }}
{{- fail "Set istio.gateway.names: the Gateways that lead here, such as [istio-system/public]" }}
{{- end }}
{{- if and $values.istio.ambient (not $values.istio.gateway.targetRef) }}
{{- fail "istio.ambient needs istio.gateway.targetRef: the name of the Gateway" }}
{{- end }}
{{- if not $values.istio.gateway.principals }}
{{- fail "Set istio.gateway.principals: whom MLflow and the edge take requests from" }}
{{- end }}
{{- end }}
{{- if and $routes (not $values.mlflow.enabled) }}
{{- if not (regexMatch "^[a-z0-9-]+(\\.[a-z0-9-]+(\\.svc(\\..+)?)?)?$" (include "extauthz.mlflowName" .)) }}
{{- fail (printf "mlflow.url must name a Service, such as http://mlflow.ml.svc, with gateway.mode %s" $mode) }}
{{- end }}
{{- end }}
{{- end }}
