"""Driver: aiocometd. One JSON object per line: commands on stdin, answers and
messages on stdout, the log on stderr."""

import asyncio
import json
import logging
import sys

from aiocometd_ng import Client, ConnectionType


def say(answer):
    print(json.dumps(answer), flush=True)


async def receive(client):
    async for message in client:
        say({"channel": message["channel"], "data": message["data"]})


async def obey(client, command):
    op, channel = command["op"], command.get("channel")
    if op == "connect":
        await client.open()
        asyncio.create_task(receive(client))
    elif op == "subscribe":
        await client.subscribe(channel)
    elif op == "unsubscribe":
        await client.unsubscribe(channel)
    elif op == "publish":
        await client.publish(channel, command["data"])
    elif op == "disconnect":
        await client.close()
    else:
        raise ValueError(f"unknown command {op}")


async def main(url, transport):
    # Without a connection timeout it tries to reconnect for ever.
    client = Client(url, ConnectionType(transport), connection_timeout=0)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = {"id": command["id"]}
        try:
            await obey(client, command)
        except Exception as error:  # whatever it is, the suite must hear of it
            answer["error"] = repr(error)
        say(answer)


logging.basicConfig(level=logging.INFO)
asyncio.run(main(*sys.argv[1:]))
