// Equivalent one-call access from JS
const svc = await hyphaWebsocketClient.getRemoteService(
  "http://localhost:9527/ws-user-xxx/services/CLIENTID:hello-world"
);
console.log(await svc.hello("World"));
