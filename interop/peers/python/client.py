"""Driver: aiocometd. One JSON object per line: commands on stdin, answers and
messages on stdout, the log on stderr."""

import asyncio
import json
import logging
import sys

from aiocometd_ng import Client, ConnectionType


def say(answer):
    print(json.dumps(answer), flush=True)


calls = {}  # what waits for an answer, by channel


async def receive(client):
    async for message in client:
        if call := calls.pop(message["channel"], None):
            call.set_result(message["data"])
        else:
            say({"channel": message["channel"], "data": message["data"]})


async def call(client, channel, data):
    """Returns the message that a service sends back. It must carry no id."""
    calls[channel] = asyncio.get_running_loop().create_future()
    waits = calls[channel]
    await client.publish(channel, data)
    return await waits


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
    elif op == "call":
        return await call(client, channel, command["data"])
    elif op == "disconnect":
        await client.close()
    else:
        raise ValueError(f"unknown command {op}")


async def serve(client):
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = {"id": command["id"]}
        try:
            if (data := await obey(client, command)) is not None:
                answer["data"] = data
        except Exception as error:  # whatever it is, the suite must hear of it
            answer["error"] = repr(error)
        say(answer)


async def main(url, transport):
    # Without a connection timeout it tries to reconnect for ever.
    await serve(Client(url, ConnectionType(transport), connection_timeout=0))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
