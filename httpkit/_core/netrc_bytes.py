"""A netrc that is not UTF-8: the standard library refuses the whole file for one byte.

Rule: text in, logins out; no message quotes a file, which is made of passwords.
"""

import codecs
import re
from collections.abc import Iterator

Login = tuple[str, str]
"""User and password."""

# A comment, a quoted token, or one up to the next white space.
_TOKEN = re.compile(r'#[^\n]*|"((?:[^"\\]|\\.)*)"|(\S+)')
_MACRO = re.compile(r"^[ \t]*macdef\b.*?(?:\n[ \t]*\n|\Z)", re.MULTILINE | re.DOTALL)


def login_for(host: str, content: bytes) -> Login | None:
    """Return the login of a host, or the default one; None when there is none.

    Args:
        host: In lower case.
        content: Of the file; bytes that are not UTF-8 are read as Latin-1. A byte order mark, which
            editors and shells of Windows write, counts.
    """
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    logins = dict(_logins(_MACRO.sub("", text)))
    return logins.get(host) or logins.get("")


def _logins(text: str) -> Iterator[tuple[str, Login]]:
    """Yield hosts, "" for the default, with their logins."""
    tokens = [quoted or plain for quoted, plain in _TOKEN.findall(text) if quoted or plain]
    host: str | None = None
    fields: dict[str, str] = {}
    words = iter(tokens)
    for word in words:
        if word in {"machine", "default"}:
            if host is not None:
                yield host, (fields.get("login", ""), fields.get("password", ""))
            host, fields = next(words, None) if word == "machine" else "", {}
        elif word in {"login", "user", "account", "password"}:
            fields["login" if word == "user" else word] = next(words, "")
    if host is not None:
        yield host, (fields.get("login", ""), fields.get("password", ""))
