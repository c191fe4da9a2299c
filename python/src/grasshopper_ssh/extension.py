"""The Jupyter server extension: its settings, and what the SSH server is started with."""

import os
from datetime import datetime, timezone
from importlib.metadata import entry_points

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Enum, Float, List, Unicode, default

from .endpoint import Endpoint, EndpointError
from .handler import SSHHandler
from .installed_keys import InstalledKeys
from .key_door import ConfirmHandler, KeysHandler, Requests
from .program import find_hop


class GrasshopperSSH(ExtensionApp):
    """SSH at ``/sshd/``. Settings are traits, for example in jupyter_server_config.py::

        c.GrasshopperSSH.authorized_keys = ["/etc/hub/keys"]
    """

    name = "grasshopper_ssh"
    default_url = "/"
    load_other_extensions = True

    enabled = Bool(True, config=True, help="Whether SSH is served at all.")
    hop = Unicode(config=True, help="The hop program. Default: the one installed with this package, else in PATH.")
    authorized_keys = List(
        Unicode(),
        config=True,
        help="Files with the keys that may log in, as sshd's AuthorizedKeysFile; ~ is the home of the server's user. "
        "Default: ~/.ssh/authorized_keys, and JUPYTER_SSHD_PROXY_AUTHORIZED_KEYS_PATH if it is set.",
    )
    extra_keys = List(Unicode(), config=True, help="Lines of authorized_keys that may log in, too.")
    key_installation = Enum(
        ["off", "ask", "on"],
        "ask",
        config=True,
        help="Whether the server's owner can have a key installed with a token of the Hub (hop jupyter add). ask: they confirm "
        "each key in a browser. on: the token suffices, so that whoever has it gets in. off: keys are put by hand.",
    )
    installed_keys = Unicode(
        "~/.local/share/hop/jupyter-keys", config=True, help="Where keys are kept that were installed with a token."
    )
    trusted_user_ca = List(
        Unicode(), config=True, help="Files with the public keys of CAs whose user certificates may log in."
    )
    host_key_dir = Unicode(
        "~/.local/share/hop/host-keys",
        config=True,
        help="Where host keys are kept. ~/.ssh/jupyter_sshd_hostkey is used instead where jupyter-sshd-proxy left it, so "
        "that people's known_hosts stay right.",
    )
    count_idle_connections = Bool(
        False,
        config=True,
        help="Whether an open connection keeps the server from being culled also when no data goes by.",
    )
    beat = Float(
        25,
        config=True,
        help="Every so many seconds the server says something on a connection: proxies cut one on which it says nothing, "
        "most after a minute.",
    )
    hand_over = Bool(
        True,
        config=True,
        help="Whether the SSH server gets the connections themselves once their WebSocket is asked for, and Python carries no data. "
        "Those with TLS that ends in this server, and all with count_idle_connections, pass through Python anyway.",
    )
    idle_time = Unicode(
        "", config=True, help="Connections without data for this long are ended, as 30m or 12h. Default: never."
    )
    log_level_ssh = Enum(
        ["error", "warn", "info", "debug"], "info", config=True, help="How much the SSH server logs into the server's log. "
        "Each file of sftp only with debug."
    )

    @default("hop")
    def _hop(self):
        return find_hop() or ""

    @default("authorized_keys")
    def _authorized_keys(self):
        other = os.environ.get("JUPYTER_SSHD_PROXY_AUTHORIZED_KEYS_PATH")
        return ["~/.ssh/authorized_keys"] + ([other] if other else [])

    def initialize_handlers(self):
        if not self.enabled:
            self.log.info("grasshopper_ssh: switched off by its settings")
            return
        if _has_jupyter_sshd_proxy():
            self.log.info(
                "grasshopper_ssh: jupyter-sshd-proxy is installed, too; grasshopper-ssh serves /sshd/ "
                "(c.GrasshopperSSH.enabled = False leaves it to the other)"
            )
        self._endpoint = Endpoint(self._command, self._environment, self.log, self._touch)
        on_idle = self._touch if self.count_idle_connections else None
        hand_over = self.hand_over and on_idle is None
        ways = {"endpoint": self._endpoint, "beat": self.beat, "on_idle": on_idle, "hand_over": hand_over}
        self.handlers.append((r"/sshd/?", SSHHandler, ways))
        self._keys = InstalledKeys(_expand(self.installed_keys))
        door = {"mode": self.key_installation, "keys": self._keys, "requests": Requests()}
        self.handlers.append((r"/sshd/keys", KeysHandler, door))
        self.handlers.append((r"/sshd/confirm/([A-Za-z0-9_-]+)", ConfirmHandler, door))

    def _command(self, socket, hand_over):
        """The arguments of the SSH server that listens on ``socket``, and takes connections over on ``hand_over``."""
        if not self.hop:
            raise EndpointError("the hop program is not installed; pip install grasshopper-ssh")
        command = [self.hop, "endpoint", "--unix", socket, "--attended", "--json", "--inherit-env"]
        command += ["--hand-over", hand_over]
        # The Hub has judged who may come; the name that ssh gives says nothing more.
        command += ["--user", "*"]
        for path in self.authorized_keys:
            command += ["--authorized-keys", _expand(path)]
        if self.extra_keys:
            extra = os.path.join(os.path.dirname(socket), "extra_keys")
            with open(extra, "w", encoding="utf-8") as file:
                file.writelines(f"{line.strip()}\n" for line in self.extra_keys)
            command += ["--authorized-keys", extra]
        if self.key_installation != "off":
            # Those that were installed do not count while nobody may install any.
            self._keys.make()
            command += ["--authorized-keys", self._keys.path]
        for path in self.trusted_user_ca:
            command += ["--trusted-user-ca", _expand(path)]
        if self.idle_time:
            command += ["--idle-time", self.idle_time]
        other = _expand("~/.ssh/jupyter_sshd_hostkey")
        if os.access(other, os.R_OK):
            command += ["--host-key", other]
        else:
            command += ["--host-key-dir", _expand(self.host_key_dir)]
        return command

    def _environment(self):
        """What a terminal of JupyterLab finds, and the log level."""
        environment = dict(os.environ)
        # A line for each file of sftp takes this process as long as the file itself takes the SSH server.
        environment["HOP_LOG"] = "info,hop_sftp=warn" if self.log_level_ssh == "info" else self.log_level_ssh
        environment.setdefault("JUPYTER_SERVER_ROOT", self.serverapp.root_dir)
        environment.setdefault("JUPYTER_SERVER_URL", self.serverapp.connection_url)
        return environment

    def _touch(self):
        self.settings["last_activity_times"]["grasshopper_ssh"] = datetime.now(timezone.utc)

    async def stop_extension(self):
        endpoint = getattr(self, "_endpoint", None)
        if endpoint is not None:
            await endpoint.stop()


def _expand(path):
    return os.path.expanduser(path)


def _has_jupyter_sshd_proxy():
    try:
        servers = entry_points(group="jupyter_serverproxy_servers")
    except TypeError:
        # Before Python 3.10.
        servers = entry_points().get("jupyter_serverproxy_servers", [])
    return any(server.name == "sshd" for server in servers)
