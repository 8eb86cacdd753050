{{- /* files/envoy.yaml is what `extauthz envoy-config` prints, with names that are replaced here. */}}
{{- define "extauthz.envoy.config" -}}
{{- .Files.Get "files/envoy.yaml"
    | replace "mlflow-host.placeholder" (include "extauthz.mlflowHost" . | quote)
    | replace "mlflow.placeholder" (include "extauthz.mlflowName" . | trimPrefix "[" | trimSuffix "]" | quote)
    | replace "port_value: 50001" (printf "port_value: %s" (include "extauthz.mlflowPort" .))
    | replace "edge.placeholder" (include "extauthz.partname" (list . "edge") | quote)
    | replace "pages.placeholder" (include "extauthz.partname" (list . "edge") | quote)
    | replace "/prefix.placeholder" (include "extauthz.publicPath" .)
    | replace "xff_num_trusted_hops: 8" (printf "xff_num_trusted_hops: %s" (include "extauthz.trustedHops" .)) }}
{{- end }}

{{- /* What a gateway of others needs to know of it, as YAML: the pages' paths, and what the edge reads. */}}
{{- define "extauthz.envoy.known" -}}
{{- $config := include "extauthz.envoy.config" . | fromYaml }}
{{- $chain := first (first $config.static_resources.listeners).filter_chains }}
{{- $manager := (first $chain.filters).typed_config }}
{{- $pages := list }}
{{- range (first $manager.route_config.virtual_hosts).routes }}
{{- with .match.path }}{{ $pages = append $pages . }}{{ end }}
{{- end }}
{{- $headers := list }}
{{- range $manager.http_filters }}
{{- range dig "typed_config" "allowed_headers" "patterns" list . }}{{ $headers = append $headers .exact }}{{ end }}
{{- end }}
{{- dict "pages" $pages "headers" $headers | toYaml }}
{{- end }}
