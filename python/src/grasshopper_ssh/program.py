"""Where the ``hop`` program is."""

import os
import shutil
import sysconfig


def find_hop():
    """The path of the ``hop`` that was installed with this package, else of one in PATH; ``None`` if there is none."""
    schemes = ["posix_prefix"]
    if hasattr(sysconfig, "get_preferred_scheme"):
        # `pip install --user` puts programs elsewhere than an environment does.
        schemes = [sysconfig.get_preferred_scheme("prefix"), sysconfig.get_preferred_scheme("user")]
    for scheme in schemes:
        path = os.path.join(sysconfig.get_path("scripts", scheme), "hop")
        if os.access(path, os.X_OK):
            return path
    return shutil.which("hop")
