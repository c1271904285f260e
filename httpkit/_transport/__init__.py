"""HTTP/1.1 over urllib3's pools and sockets: parse, frame, time out, reuse connections.

May import: `_messages`, `_diagnostics`, `_core`. `_upstream` lists every private name of urllib3,
http.client and requests that httpkit uses; what layers below need of requests they ask
`_core.upstream`, which has a public way beside each name. The client uses `adapter` and
`fast_path`.
"""
