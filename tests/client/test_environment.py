"""The environment is read when it has changed, and then it counts at once."""

import os
import urllib.request

import pytest
import requests
import requests.utils

import httpkit
from httpkit._client import environment
from tests.support.platforms import ON_WINDOWS

PROXY = "http://127.0.0.1:9"


@pytest.fixture
def api():
    with httpkit.Session("http://api.test") as session:
        yield session


def proxies_of(api, url="http://api.test/x"):
    return api.merge_environment_settings(url, {}, None, None, None)["proxies"]


@pytest.mark.parametrize("url", ["http://api.test/x", "http://api.test", "http://api.test?a=/b"])
def test_a_proxy_set_between_two_calls_counts(api, monkeypatch, url):
    before = proxies_of(api, url)

    monkeypatch.setenv("HTTP_PROXY", PROXY)

    assert before == {}
    assert proxies_of(api, url) == requests.utils.get_environ_proxies(url) == {"http": PROXY}


def test_a_proxy_taken_away_between_two_calls_is_gone(api, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    before = proxies_of(api)

    monkeypatch.delenv("HTTP_PROXY")

    assert (before, proxies_of(api)) == ({"http": PROXY}, {})


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_used"),
    [
        ("api.test", "http://api.test/x", False), ("api.test", "http://other.test/x", True),
        ("api.tes", "http://api.test", True), ("10.0.0.0/8", "http://10.1.2.3/x", False),
        ("api.test:81", "http://api.test/x", True), ("api.test:81", "http://api.test:81/x", False),
    ],
)  # fmt: skip
def test_each_host_has_its_own_proxy_lookup(api, monkeypatch, no_proxy, url, is_used):
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    proxies_of(api, "http://api.test:82/x")

    found = proxies_of(api, url)

    assert found.get("http") == (PROXY if is_used else None)


def test_a_caller_cannot_change_what_is_kept(api, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", PROXY)

    proxies_of(api).clear()
    environment.proxies_for("http://api.test/x", {}, trust_env=True).clear()

    assert proxies_of(api) == {"http": PROXY}


def test_more_hosts_than_are_kept_get_the_right_proxies(api, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "h7.test")

    found = [proxies_of(api, f"http://h{number}.test/") for number in range(600)]

    assert [number for number, proxies in enumerate(found) if not proxies] == [7]


@pytest.mark.parametrize("location", ["requests.sessions", "requests.utils"])
def test_a_replaced_function_is_called(api, monkeypatch, location):
    proxies_of(api)
    name = "get_environ_proxies" if location == "requests.sessions" else "getproxies"

    monkeypatch.setattr(f"{location}.{name}", lambda *_, **__: {"http": PROXY})

    assert proxies_of(api) == {"http": PROXY}


def test_an_environment_that_is_no_ordinary_one_is_read_each_time(api, monkeypatch):
    monkeypatch.setattr(os, "environ", {"http_proxy": PROXY})
    monkeypatch.setattr(urllib.request.os, "environ", os.environ)

    assert proxies_of(api) == {"http": PROXY}


def netrc(path, password):
    path.write_text(f"machine api.test login me password {password}\n")
    path.chmod(0o600)


def signed(api):
    return api.prepare_request(requests.Request("GET", "https://api.test/")).headers.get(
        "Authorization"
    )


def test_a_netrc_that_appears_changes_and_goes_counts_at_once(tmp_path, monkeypatch):
    path = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(path))
    with httpkit.Session("https://api.test") as api:
        found = [signed(api)]
        for password in ("passw0rd-1", "passw0rd-2"):
            netrc(path, password)
            found.append(signed(api))
        path.unlink()
        found.append(signed(api))

    expected = [requests.auth._basic_auth_str("me", word) for word in ("passw0rd-1", "passw0rd-2")]
    assert found == [None, *expected, None]


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_both_names_of_netrc_are_read_in_the_home_directory(tmp_path, monkeypatch, name):
    monkeypatch.delenv("NETRC")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    netrc(tmp_path / name, "passw0rd")

    with httpkit.Session("https://api.test") as api:
        assert signed(api) == requests.auth._basic_auth_str("me", "passw0rd")


@pytest.mark.skipif(not ON_WINDOWS, reason="only Windows has a registry")
def test_a_proxy_of_the_registry_counts_at_once(api):
    winreg = pytest.importorskip("winreg")
    settings = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
    with winreg.CreateKey(winreg.HKEY_CURRENT_USER, settings) as key:
        found = [proxies_of(api)]
        winreg.SetValueEx(key, "ProxyServer", 0, winreg.REG_SZ, PROXY.removeprefix("http://"))
        for is_on in (1, 0):
            winreg.SetValueEx(key, "ProxyEnable", 0, winreg.REG_DWORD, is_on)
            found.append(proxies_of(api))
        winreg.DeleteValue(key, "ProxyServer")

    assert [proxies.get("http") for proxies in found] == [None, PROXY, None]


def test_a_replaced_netrc_reader_is_called(monkeypatch):
    monkeypatch.setattr("requests.utils.get_netrc_auth", lambda _: ("me", "word"))

    with httpkit.Session("https://api.test") as api:
        assert signed(api) == requests.auth._basic_auth_str("me", "word")


def test_a_ca_bundle_of_the_environment_counts_at_once(api, monkeypatch):
    before = api.merge_environment_settings("https://api.test/", {}, None, None, None)["verify"]

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/some/bundle.pem")

    after = api.merge_environment_settings("https://api.test/", {}, None, None, None)["verify"]
    assert (before, after) == (True, "/some/bundle.pem")
