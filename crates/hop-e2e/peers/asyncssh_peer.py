"""asyncssh as a client."""

import asyncio

import asyncssh
from library import BLOCK, COLUMNS, NEW_COLUMNS, NEW_ROWS, ROWS, TERM, report, request


def connect(r):
    return asyncssh.connect(
        r.host, r.port, username=r.user, client_keys=[r.key], known_hosts=r.known_hosts, agent_path=None, config=None
    )


async def login(r):
    try:
        async with connect(r):
            report(outcome="in")
    except asyncssh.PermissionDenied:
        report(outcome="refused")


async def run(r):
    async with connect(r) as connection:
        done = await connection.run(r.command)
        report(status=done.exit_status, stdout=done.stdout, stderr=done.stderr)


async def upload(r):
    async with connect(r) as connection:
        process = await connection.create_process(r.command, encoding=None)
        with open(r.local, "rb") as source:
            while block := source.read(BLOCK):
                process.stdin.write(block)
                await process.stdin.drain()
        process.stdin.write_eof()
        await process.wait_closed()
        report(status=process.exit_status)


async def download(r):
    async with connect(r) as connection:
        process = await connection.create_process(r.command, encoding=None)
        with open(r.local, "wb") as sink:
            while block := await process.stdout.read(BLOCK):
                sink.write(block)
        await process.wait_closed()
        report(status=process.exit_status)


async def sftp(r):
    async with connect(r) as connection, connection.start_sftp_client() as files:
        await files.put(r.local, r.folder + "/first")
        await files.rename(r.folder + "/first", r.folder + "/second")
        await files.get(r.folder + "/second", r.back)
        names = {e.filename: e.attrs.size for e in await files.readdir(r.folder)}
        report(names=names)


async def pty(r):
    async with connect(r) as connection:
        process = await connection.create_process(r.command, term_type=TERM, term_size=(COLUMNS, ROWS))
        output = await process.stdout.readuntil("ready")
        process.change_terminal_size(NEW_COLUMNS, NEW_ROWS)
        process.stdin.write("\n")
        output += await process.stdout.read()
        await process.wait_closed()
        report(status=process.exit_status, output=output)


r = request()
operations = {"login": login, "exec": run, "upload": upload, "download": download, "sftp": sftp, "pty": pty}
asyncio.run(operations[r.operation](r))
