"""A storage node of Streamr for tests: logStore with a cluster, the real contracts on anvil, a WebSocket to listen with."""
import json
import os
import re

from node import BUILD, OWNER, Node, until
from test_chain import Chain
import ws

MESSAGES = "/assignments"


class StorageNode(Node):
    """address: of the cluster; the node's own is OWNER."""

    def __init__(self, chain, cluster=None, address=OWNER, events=None, refresh=None, first_block=0, urls=None, **rest):
        self.address = address
        settings = {"enabled": True, "confirmations": 0, "pollInterval": 100}
        if first_block is not None:
            settings["fromBlock"] = first_block
        settings.update(events or {})
        rest.setdefault("config", {})
        rest["config"] = dict({"mode": {"type": "standalone", "trackedStreams": []}, "validation": {"publish": "chain"},
                               "admin": {"socket": "admin"}}, **rest["config"])
        super().__init__(**rest)
        with open(self.config) as file:
            whole = json.load(file)
        plugins = whole["plugins"]
        plugins["logStore"] = {"db": {"dataPath": self.data, "minFreeBytes": 0}, "cluster": cluster or {}}
        if refresh is not None:
            plugins["logStore"]["logStoreConfig"] = {"refreshInterval": refresh}
        plugins["websocket"] = {"port": 0}
        plugins["chain"] = {"rpcs": [{"url": u} for u in urls or [chain.url]], "chainId": 31337, "events": settings,
                            "streamRegistryChainAddress": chain.registry,
                            "streamStorageRegistryChainAddress": chain.storage}
        self.write(whole)

    def write(self, whole):
        with open(self.config, "w") as out:
            json.dump(whole, out)

    def change(self, edit):
        with open(self.config) as file:
            whole = json.load(file)
        edit(whole["plugins"])
        self.write(whole)
        return self

    def start(self):
        super().start()
        if "websocket" in self.said():
            self.ws_port = int(until(lambda: re.search(r"ws://\S+?:(\d+)", self.said()), what="the WebSocket listens").group(1))
        return self

    def listen(self):
        """Hear the assignment messages from now on."""
        return ws.Client(self.ws_port, ws.path(self.address + MESSAGES, "subscribe"))

    def assigned(self):
        """{stream: the partitions that are taken}"""
        return {s["id"]: s["taken"] for s in self.json("/assignments")["streams"]}

    def takes(self, stream, parts=(0,), what="the stream is taken"):
        until(lambda: self.assigned().get(stream, []) == list(parts), what=what)

    def announced(self, stream):
        until(lambda: {s["id"]: s["announced"] for s in self.json("/assignments")["streams"]}.get(stream),
              what="'%s' is announced" % stream)

    def metric(self, name):
        found = re.search(r"^%s (\S+)$" % re.escape(name), self.get("/metrics")[2].decode(), re.M)
        return float(found.group(1)) if found else None
