"""Runs a command that installs, as the project needs it: `python install.py COMMAND ...`.

Of a user's settings of pip and uv those go on that say where and how to ask: index, proxy,
certificates. uv, which does not read pip's, is told them as well. Others, such as `user = true`,
a target folder or a constraint, would put something else into `.venv` or end its making. Run with
`.venv`'s own Python; standard library only.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping

# pip's settings that go on, and what uv calls them.
ASKING = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cache-dir": "",
    "retries": "",
}
# uv's own that go on, by what their names begin with.
OF_UV = (
    *("UV_CACHE_DIR", "UV_CONCURRENT_", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("UV_HTTP_", "UV_INDEX", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_LINK_MODE"),
    *("UV_NATIVE_TLS", "UV_NO_CACHE", "UV_NO_INDEX", "UV_OFFLINE", "UV_SYSTEM_CERTS"),
    *("UV_TORCH_BACKEND",),
)
# What uv has in place of its default index, by whichever name.
_INDEX_OF_UV = {"UV_DEFAULT_INDEX", "UV_INDEX_URL"}


def main(command: list[str]) -> None:
    """Becomes the command."""
    os.execvpe(command[0], command, asking(os.environ, settings_of_pip(os.environ)))


def settings_of_pip(environment: Mapping[str, str]) -> dict[str, str]:
    """What pip would ask with, by the names of its options, from its files and the environment."""
    command = [
        sys.executable,
        "-I",
        "-X",
        "utf8",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "config",
        "list",
    ]
    # They change what this command itself lists.
    all_of_it = dict.fromkeys(("PIP_GLOBAL", "PIP_QUIET", "PIP_SITE", "PIP_USER"), "0")
    said = subprocess.run(
        command, env={**environment, **all_of_it}, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout
    found = {}
    for line in said.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        found[section, name] = str(ast.literal_eval(value))
    ranks = ("global", "install", ":env:")  # from what gives way to what does not
    return {name: found[section, name] for section in ranks for of, name in found if of == section}


def asking(environment: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command that installs.

    Args:
        environment: of this process.
        pip: as of `settings_of_pip`.
    """
    ours = ("PIP_", "UV_", "PYTHON")
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(ours) or name.startswith(OF_UV)
    }
    pip = {name: value for name, value in pip.items() if name in ASKING and value}
    own_index = any(name in kept for name in _INDEX_OF_UV)
    for name, value in pip.items():
        if ASKING[name] and not (name == "index-url" and own_index):
            kept.setdefault(ASKING[name], _for_uv(name, value))
    if "extra-index-url" in pip:
        kept.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # as pip: the best of all
    kept |= {f"PIP_{name.replace('-', '_').upper()}": value for name, value in pip.items()}
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1"}


def _for_uv(name: str, value: str) -> str:
    """A value as uv writes it: several lie between spaces, places of files between commas."""
    return (",", " ")[name != "find-links"].join(value.split())


if __name__ == "__main__":
    main(sys.argv[1:])
