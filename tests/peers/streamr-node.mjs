// Real Streamr v103 network nodes, several in one process, WebSocket only, driven from outside (commands.mjs).
// Run: node --require ./loopback.cjs streamr-node.mjs
//
// Nodes are named by their node id, 40 hex digits. Another node is meant by {"nodeId", "port"} (no port: no server).
import { tn, makePeerDescriptor, signer, contentMessage, hex, sleep } from './lib.mjs'
import { Received } from './received.mjs'
import { serve, freePort } from './commands.mjs'

const nodes = new Map() // node id -> { node, parts: Map part -> Received }
const signers = new Map()
const descriptorOf = ({ nodeId, port }) => makePeerDescriptor(nodeId, port)
const asPeer = (d) => ({ nodeId: hex(d.nodeId), port: d.websocket?.port ?? null })
const signerOf = (key) => signers.get(key) ?? signers.set(key, signer(key)).get(key)
const of = (id) => nodes.get(id) ?? (() => { throw new Error('there is no node ' + id) })()

const partOf = (m) => `${m.messageId.streamId}#${m.messageId.streamPartition}`

const JUNK = Buffer.alloc(65, 1)
// sign: false for load that nobody verifies.
const made = async (q, n, prev, timestamp) => {
    const [streamId, partition] = q.part.split('#')
    const s = signerOf(q.key)
    const content = q.binary ? Buffer.from(`${n}:${'\u0000'.repeat(q.pad ?? 0)}`) : { n, pad: 'x'.repeat(q.pad ?? 0) }
    return contentMessage(q.sign === false ? { address: s.address, sign: async () => JUNK } : s,
        { streamId, partition: Number(partition), timestamp, chain: q.chain, content, prev })
}

const commands = {
    // port: null no server, 0 a free one. client: true for a node that only uses proxies and stays out of the DHT.
    start: async ({ id, port = 0, entryPoints, client = false, accept = false, keep = false, maxConnections }) => {
        if (nodes.has(id)) throw new Error('there is a node ' + id)
        const ownPort = port === 0 ? await freePort() : port
        const peerDescriptor = makePeerDescriptor(id, ownPort)
        const node = tn.createNetworkNode({
            layer0: {
                peerDescriptor,
                entryPoints: entryPoints?.map(descriptorOf) ?? [peerDescriptor],
                websocketServerEnableTls: false,
                ...(maxConnections ? { maxConnections } : {})
            },
            networkNode: { acceptProxyConnections: accept }
        })
        const one = { node, parts: new Map() }
        nodes.set(id, one)
        node.addMessageListener((m) => {
            const part = partOf(m)
            if (!one.parts.has(part)) one.parts.set(part, new Received(keep))
            one.parts.get(part).add(m.messageId, m.body.contentMessage?.content, () => tn.StreamMessage.toBinary(m))
        })
        try { await node.start(!client) } catch (e) { nodes.delete(id); throw e }
        return { port: ownPort }
    },
    join: async ({ id, part, minCount, timeout = 30000 }) => {
        await of(id).node.join(part, minCount ? { minCount, timeout } : undefined)
    },
    leave: ({ id, part }) => of(id).node.leave(part),
    // Numbers first .. first + count - 1, each in the content as "n", signed with key, in one chain: the publisher goes on
    // where prev (of the answer before) says. every: milliseconds between two. messages: hex of ready ones instead.
    publish: async ({ id, messages, count = 1, first = 0, every = 0, prev, ...q }) => {
        const { node } = of(id)
        for (const message of messages ?? []) await node.broadcast(tn.StreamMessage.fromBinary(Buffer.from(message, 'hex')))
        if (messages) return { published: messages.length }
        for (let i = 0; i < count; i++) {
            const timestamp = Math.max(Date.now(), (prev?.timestamp ?? 0) + 1)
            await node.broadcast(await made({ chain: 'chain', ...q }, first + i, prev, timestamp))
            prev = { timestamp, sequenceNumber: 0 }
            if (every) await sleep(every)
        }
        return { published: count, prev }
    },
    // As publish, but only made: hex of each, one millisecond apart.
    make: async ({ count = 1, first = 0, timestamp, ...q }) => {
        const messages = []
        for (let i = 0, prev; i < count; i++) {
            const m = await made({ chain: 'chain', ...q }, first + i, prev, timestamp + i)
            prev = { timestamp: timestamp + i, sequenceNumber: 0 }
            messages.push(hex(tn.StreamMessage.toBinary(m)))
        }
        return { messages }
    },
    address: ({ key }) => ({ address: signerOf(key).address }),
    setProxies: ({ id, part, proxies, user, direction, count }) => of(id).node.setProxies(part, proxies.map(descriptorOf),
        user, direction === undefined ? undefined : tn.ProxyDirection[direction.toUpperCase()], count),
    report: ({ id, part }) => ({ publishers: of(id).parts.get(part)?.report() ?? {} }),
    messages: ({ id, part }) => ({ messages: of(id).parts.get(part)?.kept ?? [] }),
    neighbours: ({ id, part }) => ({ neighbours: of(id).node.getNeighbors(part) }),
    info: async ({ id, of: other }) => {
        const info = await of(id).node.fetchNodeInfo(descriptorOf(other))
        return {
            version: info.applicationVersion,
            parts: info.streamPartitions.map((p) => ({
                id: p.id,
                neighbours: p.contentDeliveryLayerNeighbors.map((n) => asPeer(n.peerDescriptor)),
                control: p.controlLayerNeighbors.map(asPeer)
            })),
            connections: info.controlLayer?.connections.map(asPeer) ?? []
        }
    },
    stop: async ({ id }) => { const { node } = of(id); nodes.delete(id); await node.stop() }
}

serve(commands)
