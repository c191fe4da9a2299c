"""libssh2 as a client, through ssh2-python (its pty call knows a terminal type, but no size and no resizing)."""

import base64
import socket

from library import BLOCK, TERM, fingerprint_line, report, request
from ssh2.exceptions import AuthenticationError
from ssh2.session import Session
from ssh2.sftp import LIBSSH2_FXF_CREAT, LIBSSH2_FXF_READ, LIBSSH2_FXF_TRUNC, LIBSSH2_FXF_WRITE


def connect(r):
    sock = socket.create_connection((r.host, r.port))
    session = Session()
    session.handshake(sock)
    key, _ = session.hostkey()
    if base64.b64encode(key).decode() != fingerprint_line(r.known_hosts)[1]:
        raise SystemExit("the host key is not the known one")
    session.userauth_publickey_fromfile(r.user, r.key)
    return session


def read_all(read):
    data = b""
    while True:
        size, part = read(BLOCK)
        if size <= 0:
            return data
        data += part


def ended(channel):
    channel.wait_eof()
    channel.close()
    channel.wait_closed()
    return channel.get_exit_status()


def login(r):
    try:
        connect(r)
        report(outcome="in")
    except AuthenticationError:
        report(outcome="refused")


def run(r):
    channel = connect(r).open_session()
    channel.execute(r.command)
    stdout, stderr = read_all(channel.read), read_all(channel.read_stderr)
    report(status=ended(channel), stdout=stdout.decode(), stderr=stderr.decode())


def upload(r):
    channel = connect(r).open_session()
    channel.execute(r.command)
    with open(r.local, "rb") as source:
        while block := source.read(BLOCK):
            channel.write(block)
    channel.send_eof()
    report(status=ended(channel))


def download(r):
    channel = connect(r).open_session()
    channel.execute(r.command)
    with open(r.local, "wb") as sink:
        while True:
            size, part = channel.read(BLOCK)
            if size <= 0:
                break
            sink.write(part)
    report(status=ended(channel))


def sftp(r):
    files = connect(r).sftp_init()
    flags = LIBSSH2_FXF_CREAT | LIBSSH2_FXF_WRITE | LIBSSH2_FXF_TRUNC
    with files.open(r.folder + "/first", flags, 0o600) as remote, open(r.local, "rb") as source:
        while block := source.read(BLOCK):
            remote.write(block)
    files.rename(r.folder + "/first", r.folder + "/second")
    with files.open(r.folder + "/second", LIBSSH2_FXF_READ, 0) as remote, open(r.back, "wb") as sink:
        for size, part in remote:
            sink.write(part[:size])
    with files.opendir(r.folder) as folder:
        names = {name.decode(): attributes.filesize for _, name, attributes in folder.readdir()}
    report(names=names)


def pty(r):
    channel = connect(r).open_session()
    channel.pty(TERM)
    channel.execute(r.command)
    output = b""
    while b"ready" not in output:
        output += channel.read(BLOCK)[1]
    channel.write(b"\n")
    output += read_all(channel.read)
    report(status=ended(channel), output=output.decode())


r = request()
{"login": login, "exec": run, "upload": upload, "download": download, "sftp": sftp, "pty": pty}[r.operation](r)
