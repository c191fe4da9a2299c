"""paramiko as a client."""

import paramiko
from library import BLOCK, COLUMNS, NEW_COLUMNS, NEW_ROWS, ROWS, TERM, report, request


def connect(r):
    client = paramiko.SSHClient()
    client.load_host_keys(r.known_hosts)
    client.connect(r.host, r.port, r.user, key_filename=r.key, allow_agent=False, look_for_keys=False)
    return client


def login(r):
    try:
        connect(r).close()
        report(outcome="in")
    except paramiko.AuthenticationException:
        report(outcome="refused")


def run(r):
    _, out, err = connect(r).exec_command(r.command)
    stdout, stderr = out.read(), err.read()
    report(status=out.channel.recv_exit_status(), stdout=stdout.decode(), stderr=stderr.decode())


def upload(r):
    channel = connect(r).get_transport().open_session()
    channel.exec_command(r.command)
    with open(r.local, "rb") as source:
        while block := source.read(BLOCK):
            channel.sendall(block)
    channel.shutdown_write()
    report(status=channel.recv_exit_status())


def download(r):
    channel = connect(r).get_transport().open_session()
    channel.exec_command(r.command)
    with open(r.local, "wb") as sink:
        while block := channel.recv(BLOCK):
            sink.write(block)
    report(status=channel.recv_exit_status())


def sftp(r):
    files = connect(r).open_sftp()
    files.put(r.local, r.folder + "/first")
    files.rename(r.folder + "/first", r.folder + "/second")
    files.get(r.folder + "/second", r.back)
    names = {entry.filename: entry.st_size for entry in files.listdir_attr(r.folder)}
    report(names=names)


def pty(r):
    channel = connect(r).get_transport().open_session()
    channel.get_pty(TERM, COLUMNS, ROWS)
    channel.exec_command(r.command)
    output = b""
    while b"ready" not in output:
        output += channel.recv(BLOCK)
    channel.resize_pty(NEW_COLUMNS, NEW_ROWS)
    channel.sendall(b"\n")
    while block := channel.recv(BLOCK):
        output += block
    report(status=channel.recv_exit_status(), output=output.decode())


r = request()
{"login": login, "exec": run, "upload": upload, "download": download, "sftp": sftp, "pty": pty}[r.operation](r)
