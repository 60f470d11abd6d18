{{- define "hypha-server.env" -}}
{{- $keys := .Values.secretKeys -}}
- name: HYPHA_DATA_DIR
  value: {{ .Values.persistence.mountPath }}
- name: HOME
  value: /tmp
{{ include "hypha-server.secretEnv" (dict "root" . "name" "HYPHA_JWT_SECRET" "key" $keys.jwtSecret) }}
{{ include "hypha-server.secretEnv" (dict "root" . "name" "HYPHA_ROOT_TOKEN" "key" $keys.rootToken "optional" true) }}
{{- if include "hypha-server.many" . }}
- name: HYPHA_SERVER_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
{{- end }}
{{- with .Values.publicBaseUrl }}
- name: HYPHA_PUBLIC_BASE_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.appsOrigin }}
- name: HYPHA_APPS_ORIGIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.trustedProxies }}
- name: HYPHA_TRUSTED_PROXIES
  value: {{ . | quote }}
{{- end }}
{{- if .Values.database.external }}
{{ include "hypha-server.secretEnv" (dict "root" . "name" "HYPHA_DATABASE_URI" "key" $keys.databaseUri) }}
{{- end }}
{{- if .Values.redis.external }}
{{ include "hypha-server.secretEnv" (dict "root" . "name" "HYPHA_REDIS_URI" "key" $keys.redisUri) }}
{{- end }}
{{- if .Values.s3.external }}
- name: HYPHA_ENABLE_S3
  value: "true"
- name: HYPHA_ENDPOINT_URL
  value: {{ .Values.s3.endpointUrl | quote }}
{{- with .Values.s3.endpointUrlPublic }}
- name: HYPHA_ENDPOINT_URL_PUBLIC
  value: {{ . | quote }}
{{- end }}
- name: HYPHA_REGION_NAME
  value: {{ .Values.s3.region | quote }}
- name: HYPHA_WORKSPACE_BUCKET
  value: {{ .Values.s3.bucket | quote }}
- name: HYPHA_ENABLE_S3_PROXY
  value: {{ .Values.s3.proxy | quote }}
{{ include "hypha-server.secretEnv" (dict "root" . "name" "HYPHA_ACCESS_KEY_ID" "key" $keys.accessKeyId) }}
{{ include "hypha-server.secretEnv" (dict "root" . "name" "HYPHA_SECRET_ACCESS_KEY" "key" $keys.secretAccessKey) }}
{{- end }}
{{- if .Values.serverApps.enabled }}
- name: HYPHA_ENABLE_SERVER_APPS
  value: "true"
- name: HYPHA_IN_DOCKER
  value: "true"
{{- end }}
{{- if .Values.k8sWorker.enabled }}
- name: HYPHA_ENABLE_K8S_WORKER
  value: "true"
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
