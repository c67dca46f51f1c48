"""What of the settings of pip and uv reaches the making of `.venv`."""

import importlib.util
import os
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "workflow" / "install.py"
SPEC = importlib.util.spec_from_file_location("install", FILE)
assert SPEC is not None
assert SPEC.loader is not None
install = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(install)

MIRROR = "http://127.0.0.1:1/simple"


def test_settings_of_pip_are_those_of_its_files_and_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = http://127.0.0.1:1/file\ntimeout = 7\nuser = true\nquiet = 3\n"
        "[install]\ntimeout = 8\nfind-links = /a\n /b\n[list]\ntimeout = 9\n"
    )
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    asked = clean | {"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": MIRROR}
    found = install.settings_of_pip(asked)
    assert (found["index-url"], found["timeout"]) == (MIRROR, "8")
    assert found["find-links"].split() == ["/a", "/b"]


def test_uv_asks_where_pip_asks() -> None:
    pip = {"index-url": MIRROR, "extra-index-url": "/a\n/b", "find-links": "/c\n/d"}
    pip |= {"cert": "/ca.pem", "trusted-host": "127.0.0.1", "no-index": "1", "timeout": "9"}
    made = install.asking({}, pip)
    assert made["UV_DEFAULT_INDEX"] == made["PIP_INDEX_URL"] == MIRROR
    assert made["UV_INDEX"] == "/a /b"
    assert made["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert made["UV_FIND_LINKS"] == "/c,/d"
    assert (made["SSL_CERT_FILE"], made["UV_INSECURE_HOST"]) == ("/ca.pem", "127.0.0.1")
    assert (made["UV_NO_INDEX"], made["UV_HTTP_TIMEOUT"]) == ("1", "9")


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_an_index_told_to_uv_itself_stays(name: str) -> None:
    made = install.asking({name: "/mine"}, {"index-url": MIRROR})
    assert made[name] == "/mine"
    assert {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & set(made) == {name}


def test_settings_that_install_something_else_are_left_out() -> None:
    names = ["user", "target", "prefix", "constraint", "require-hashes"]
    asked = {f"PIP_{name.upper().replace('-', '_')}": "1" for name in names}
    asked |= dict.fromkeys(("UV_SYSTEM_PYTHON", "UV_TARGET", "UV_CONSTRAINT", "UV_PYTHON"), "1")
    made = install.asking(asked | {"PIP_CONFIG_FILE": "/mine"}, dict.fromkeys(names, "1"))
    assert not made.keys() & asked.keys()
    assert made["PIP_CONFIG_FILE"] == os.devnull


def test_how_uv_asks_goes_on() -> None:
    how = dict.fromkeys(("UV_CACHE_DIR", "UV_OFFLINE", "https_proxy", "SSL_CERT_FILE"), "x")
    assert install.asking(how, {"cert": "y"}).items() >= how.items()
