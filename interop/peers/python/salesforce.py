"""Driver: aiosfstream, a client of Salesforce's Streaming API, as anybody would
use it but for the login. The options say which messages it wants again."""

import asyncio
import json
import logging
import sys

from aiocometd_ng import ConnectionType
from aiosfstream_ng import Client
from aiosfstream_ng.auth import AuthenticatorBase
from aiosfstream_ng.replay import DefaultMappingStorage

from client import serve


class Login(AuthenticatorBase):
    """Everybody is let in, to the server at the URL."""

    def __init__(self, url):
        super().__init__()
        self.url = url.removesuffix("/cometd")

    async def _authenticate(self):
        return 200, {"access_token": "token", "token_type": "Bearer", "instance_url": self.url,
                     "id": "", "signature": "", "issued_at": ""}


async def main(url, transport, options):
    storage = DefaultMappingStorage({}, json.loads(options).get("replay", -1))
    client = Client(Login(url), replay=storage, connection_timeout=0)
    client._connection_types = [ConnectionType(transport)]  # it offers no choice
    await serve(client)


logging.basicConfig(level=logging.INFO)
asyncio.run(main(*sys.argv[1:]))
