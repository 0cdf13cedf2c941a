"""Holds an end of ours to the cases of Autobahn's test suite, which kosoku runs:

    conformance.py server MESSAGES        is a server, and says {"port":…} first
    conformance.py client MESSAGES URL    is a client of a server at URL

What it found in each case comes on stdout at the end, one JSON object per line.
MESSAGES is how many messages a case of compression sends."""

import asyncio
import json
import sys

from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver
from kosoku.cases import CASES
from case import Case  # where kosoku.cases has put it

PATIENCE = 10  # times what a case gives its peer
AT_ONCE = 8


class Patient:
    """A case's connection, but for a busy machine."""

    def __init__(self, protocol):
        object.__setattr__(self, "protocol", protocol)

    def __getattr__(self, name):
        return getattr(self.protocol, name)

    def __setattr__(self, name, value):
        setattr(self.protocol, name, value)

    def killAfter(self, seconds):
        self.protocol.killAfter(seconds * PATIENCE)

    def closeAfter(self, seconds):
        self.protocol.closeAfter(seconds * PATIENCE)


def be_patient():
    init = Case.__init__
    Case.__init__ = lambda case, protocol: init(case, Patient(protocol))


def heard_by(hear, compressed):
    """Takes off the brackets in which our ends echo: what they carry is a JSON
    array. A case of compression wants bytes, also of what came uncompressed."""

    def on_message(case, message, binary):
        if compressed and isinstance(message, str):
            message = message.encode()
        brackets = b"[]" if isinstance(message, bytes) else "[]"
        if message[:1] + message[-1:] == brackets:
            message = message[1:-1]
        hear(case, message, binary)

    return on_message


def adapt(messages):
    be_patient()
    hears = {name: case.onMessage for name, case in CASES.items()}  # first, for they inherit
    for name, case in CASES.items():
        compressed = name.startswith(("12.", "13."))
        case.onMessage = heard_by(hears[name], compressed)
        if compressed:
            case.COUNT = messages


def say(line):
    print(json.dumps(line), flush=True)


async def run(end, url):
    try:
        if end == "client":
            return await run_fuzzingclient(url, concurrency=AT_ONCE)
        async with run_fuzzingserver(port=0) as server:
            say({"port": server.port})
            return await server.get_result()
    except FailureError as failure:
        return failure.results


def report(result):
    return {
        "case": result.case_id,
        "behavior": result.behavior.value,
        "close": result.behavior_close.value,
        "why": [result.result, result.result_close],
        "binary": 2 in result.tx_frame_stats,
        "code": result.remote_close_code,
        "ms": result.duration,
    }


def main(end, messages, url=None):
    adapt(int(messages))
    for result in asyncio.run(run(end, url)):
        say(report(result))


main(*sys.argv[1:])
