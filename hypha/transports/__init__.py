"""Links of clients: the hub's WebSocket, the same behind other ASGI servers, HTTP streams.

Each transport that is reached by a route is the module or folder of its name here, and can be removed with
its line below. The hub's own WebSocket (`upgrade.py`) lies below the routes: it gets its socket of uvicorn's
protocol.
"""

TRANSPORTS: tuple[str, ...] = ("asgi_websocket", "rpc_endpoint")
