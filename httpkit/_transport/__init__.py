"""HTTP/1.1 over urllib3's pools and sockets: parse, frame, time out, reuse connections.

May import: `_messages`, `_diagnostics`, `_core`. The only folder that touches private names of
urllib3, http.client and requests. The client uses `adapter` and `fast_path`.
"""
