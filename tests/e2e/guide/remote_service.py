from hypha_rpc import get_remote_service

# URL format: http://<server>/<workspace>/services/<client_id>:<service_id>
# client_id is optional
svc = await get_remote_service(
    "http://localhost:9527/ws-user-xxx/services/CLIENTID:hello-world"
)
print(await svc.hello("World"))
