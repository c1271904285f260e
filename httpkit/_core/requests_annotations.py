"""The names that requests imports for type checkers only, given to its modules.

`typing.get_type_hints` of a class evaluates the annotations of its bases in the modules of these:
without the names it is a NameError for every session, response and error.

Rule: a name that a module has is left as it is.
"""

from collections.abc import Mapping
from http.cookiejar import CookieJar
from typing import Any, Self, Unpack

import requests
from requests import adapters, auth, cookies, exceptions, models, sessions

from httpkit._core import types


class _Aliases:
    """`requests._types`, which defines its aliases for checkers only."""

    HookType = types.Hook
    HooksType = dict[str, list[types.Hook]] | None
    UriType = str | bytes
    ParamsType = types.Params
    DataType = types.Data
    HeadersType = Mapping[str, str | bytes] | None
    FilesType = types.Files
    AuthType = types.Auth
    TimeoutType = types.Timeout
    HooksInputType = types.Hooks
    VerifyType = bool | str
    CertType = types.Cert

    def __getattr__(self, name: str) -> Any:
        """Return Any for whatever else it may have."""
        return Any


_NAMES: dict[str, Any] = {
    "PreparedRequest": requests.PreparedRequest,
    "Request": requests.Request,
    "Response": requests.Response,
    "CookieJar": CookieJar,
    "RequestsCookieJar": cookies.RequestsCookieJar,
    "BaseAdapter": adapters.BaseAdapter,
    "HTTPAdapter": adapters.HTTPAdapter,
    "Self": Self,
    "Unpack": Unpack,
    "_t": _Aliases(),
}

for _module in (adapters, auth, exceptions, models, sessions):
    for _name, _value in _NAMES.items():
        vars(_module).setdefault(_name, _value)
