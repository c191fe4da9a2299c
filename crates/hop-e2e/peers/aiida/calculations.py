"""AiiDA as its users set it up: a profile, a computer reached by its openssh backend, a code, a daemon, calculations.

    calculations.py prepare HOST   makes the profile, starts a daemon of two workers, sets the computer up and tests it;
                                   prints what the test said
    calculations.py run HOST N     submits N additions, waits, prints the sums as JSON

AIIDA_PATH says where everything is; verdi is in PATH.
"""

import json
import subprocess
import sys
import time



def verdi(*words):
    done = subprocess.run(["verdi", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"verdi {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def prepare(host):
    verdi("presto")
    # The test of an asynchronous transport needs the broker that comes with the daemon.
    verdi("daemon", "start", "2")
    verdi("computer", "setup", "--non-interactive", "--label", host, "--hostname", host, "--transport", "core.ssh_async",
          "--scheduler", "core.direct", "--work-dir", "/home/{username}/work", "--mpiprocs-per-machine", "1",
          "--mpirun-command", "")
    verdi("computer", "configure", "core.ssh_async", host, "--non-interactive", "--host", host, "--backend", "openssh",
          "--safe-interval", "0")
    print(verdi("computer", "test", host))
    verdi("code", "create", "core.code.installed", "--non-interactive", "--label", "add", "--computer", host,
          "--default-calc-job-plugin", "core.arithmetic.add", "--filepath-executable", "/bin/bash")


def run(host, count):
    from aiida import engine, load_profile, orm

    load_profile()
    # Looked for often: these jobs take no time.
    orm.load_computer(host).set_minimum_job_poll_interval(1.0)
    code = orm.load_code(f"add@{host}")
    nodes = []
    for number in range(count):
        builder = code.get_builder()
        builder.x, builder.y = orm.Int(number), orm.Int(1000)
        nodes.append(engine.submit(builder))
    while not all(node.is_terminated for node in nodes):
        if any(node.process_state.value == "waiting" and node.paused for node in nodes if node.process_state):
            print(verdi("process", "list", "-a"), file=sys.stderr)
            sys.exit("a calculation is paused: AiiDA could not reach the computer")
        time.sleep(0.5)
    print(json.dumps([node.outputs.sum.value if node.is_finished_ok else str(node.exit_status) for node in nodes]))


match sys.argv[1:]:
    case ["prepare", host]:
        prepare(host)
    case ["run", host, count]:
        run(host, int(count))
    case _:
        sys.exit(__doc__)
