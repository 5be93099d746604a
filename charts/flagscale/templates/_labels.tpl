{{- define "flagscale.selector" -}}
app.kubernetes.io/name: flagscale
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}
{{- define "flagscale.matcher.selector" -}}
app.kubernetes.io/name: flagscale
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: matcher
{{- end }}
{{- define "flagscale.redis.selector" -}}
app.kubernetes.io/name: flagscale
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end }}
{{- define "flagscale.common" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "flagscale.labels" -}}
{{ include "flagscale.selector" . }}
{{ include "flagscale.common" . }}
{{- end }}
{{- define "flagscale.matcher.labels" -}}
{{ include "flagscale.matcher.selector" . }}
{{ include "flagscale.common" . }}
{{- end }}
{{- define "flagscale.redis.labels" -}}
{{ include "flagscale.redis.selector" . }}
{{ include "flagscale.common" . }}
{{- end }}
