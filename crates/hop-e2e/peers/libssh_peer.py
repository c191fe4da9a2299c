"""libssh as a client, through ssh-python."""

import os

from library import BLOCK, COLUMNS, NEW_COLUMNS, NEW_ROWS, ROWS, TERM, report, request
from ssh import options
from ssh.exceptions import AuthenticationDenied
from ssh.key import import_privkey_file
from ssh.session import Session

# libssh's own packet payload; one SFTP read or write never carries more than the server's limit.
SFTP_BLOCK = 32 * 1024


def connect(r):
    session = Session()
    session.options_set(options.PROCESS_CONFIG, "0")
    session.options_set(options.HOST, r.host)
    session.options_set_port(r.port)
    session.options_set(options.USER, r.user)
    session.options_set(options.KNOWNHOSTS, r.known_hosts)
    session.options_set(options.GLOBAL_KNOWNHOSTS, "/dev/null")
    session.connect()
    known = session.is_server_known()
    if known != 1:
        raise SystemExit(f"the host key is not the known one (libssh says {known})")
    session.userauth_publickey(import_privkey_file(r.key))
    return session


def open_channel(session):
    channel = session.channel_new()
    channel.open_session()
    return channel


def read_all(channel, is_stderr=False):
    data = b""
    while True:
        size, part = channel.read(BLOCK, is_stderr=is_stderr)
        if size <= 0:
            return data
        data += part


def login(r):
    try:
        connect(r)
        report(outcome="in")
    except AuthenticationDenied:
        report(outcome="refused")


def run(r):
    session = connect(r)
    channel = open_channel(session)
    channel.request_exec(r.command)
    stdout, stderr = read_all(channel), read_all(channel, True)
    report(status=channel.get_exit_status(), stdout=stdout.decode(), stderr=stderr.decode())


def upload(r):
    session = connect(r)
    channel = open_channel(session)
    channel.request_exec(r.command)
    with open(r.local, "rb") as source:
        while block := source.read(BLOCK):
            while block:
                _, sent = channel.write(block)
                block = block[sent:]
    channel.send_eof()
    read_all(channel)
    report(status=channel.get_exit_status())


def download(r):
    session = connect(r)
    channel = open_channel(session)
    channel.request_exec(r.command)
    with open(r.local, "wb") as sink:
        while True:
            size, part = channel.read(BLOCK)
            if size <= 0:
                break
            sink.write(part)
    report(status=channel.get_exit_status())


def sftp(r):
    session = connect(r)
    files = session.sftp_new()
    files.init()
    with files.open(r.folder + "/first", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) as remote, open(r.local, "rb") as source:
        while block := source.read(SFTP_BLOCK):
            remote.write(block)
    files.rename(r.folder + "/first", r.folder + "/second")
    with files.open(r.folder + "/second", os.O_RDONLY, 0) as remote, open(r.back, "wb") as sink:
        while True:
            size, part = remote.read(SFTP_BLOCK)
            if size <= 0:
                break
            sink.write(part)
    with files.opendir(r.folder) as folder:
        names = {entry.name.decode(): entry.size for entry in folder}
    report(names=names)


def pty(r):
    session = connect(r)
    channel = open_channel(session)
    channel.request_pty_size(TERM, COLUMNS, ROWS)
    channel.request_exec(r.command)
    output = b""
    while b"ready" not in output:
        output += channel.read(BLOCK)[1]
    channel.change_pty_size(NEW_COLUMNS, NEW_ROWS)
    channel.write(b"\n")
    output += read_all(channel)
    report(status=channel.get_exit_status(), output=output.decode())


r = request()
{"login": login, "exec": run, "upload": upload, "download": download, "sftp": sftp, "pty": pty}[r.operation](r)
