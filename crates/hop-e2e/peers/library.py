"""What every Python library is asked to do, and how it reports.

The test gives one JSON object as argument: operation, host, port, user, key, known_hosts and what the operation
needs. The script prints one JSON object. Judging is the test's business.
"""

import json
import sys
from types import SimpleNamespace

# How a terminal is asked for; then it is resized, and the remote side is told to look again.
TERM, COLUMNS, ROWS = "vt220", 132, 43
NEW_COLUMNS, NEW_ROWS = 100, 30
BLOCK = 256 * 1024


def request():
    return SimpleNamespace(**json.loads(sys.argv[1]))


def report(**result):
    print(json.dumps(result))


def fingerprint_line(known_hosts):
    """The algorithm and the base64 key of the first line of a known_hosts file."""
    with open(known_hosts, encoding="ascii") as lines:
        return lines.readline().split()[1:3]
