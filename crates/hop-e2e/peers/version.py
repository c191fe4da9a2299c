"""Prints the version of an installed Python package; for a binding also that of the C library inside it."""

import ctypes
import glob
import importlib
import importlib.metadata
import sys
import sysconfig

# Binding: its module, the library's name, and the library's function that tells the version.
BINDINGS = {
    "ssh-python": ("ssh.session", "libssh", "ssh_version"),
    "ssh2-python": ("ssh2.session", "libssh2", "libssh2_version"),
}


def library_version(package, module, library, function):
    # The module loads the library and what that needs; loaded again by its path it is the same one.
    importlib.import_module(module)
    folder = f"{sysconfig.get_paths()['platlib']}/{package.replace('-', '_')}.libs"
    found = ctypes.CDLL(glob.glob(f"{folder}/{library}-*")[0])
    tell = getattr(found, function)
    tell.restype = ctypes.c_char_p
    return tell(0).decode().split("/")[0]


package = sys.argv[1]
version = importlib.metadata.version(package)
if package in BINDINGS:
    print(f"{library_version(package, *BINDINGS[package])} ({package} {version})")
else:
    print(version)
