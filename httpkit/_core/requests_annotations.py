"""Names that requests imports for type checkers only, added to its modules.

`typing.get_type_hints` evaluates the annotations of a base class in the module of that class.
Without these names it raises NameError for every session, response and error.

Rule: a name that a module already has stays as it is.
"""

from http.cookiejar import CookieJar
from typing import Any, Self, Unpack

import requests
import urllib3
from requests import adapters, auth, cookies, exceptions, models, sessions


class _Aliases:
    """In place of `requests._types`, whose aliases exist for checkers only: each is Any."""

    def __getattr__(self, name: str) -> Any:
        return Any


_NAMES: dict[str, Any] = {
    "PreparedRequest": requests.PreparedRequest,
    "Request": requests.Request,
    "Response": requests.Response,
    "CookieJar": CookieJar,
    "RequestsCookieJar": cookies.RequestsCookieJar,
    "BaseAdapter": adapters.BaseAdapter,
    "HTTPAdapter": adapters.HTTPAdapter,
    "HTTPConnectionPool": urllib3.HTTPConnectionPool,
    "_PoolManager": urllib3.PoolManager,
    "Self": Self,
    "Unpack": Unpack,
    "_t": _Aliases(),
}

for _module in (adapters, auth, exceptions, models, sessions):
    for _name, _value in _NAMES.items():
        vars(_module).setdefault(_name, _value)
