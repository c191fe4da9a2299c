"""SSH into a Jupyter server: leads WebSockets at ``/sshd/`` to an SSH server that runs as the server's own user."""


def _jupyter_server_extension_points():
    from .extension import GrasshopperSSH

    return [{"module": "grasshopper_ssh", "app": GrasshopperSSH}]
