// The real SDK's addToStorageNode() on a real chain, against our node, whose URL is STORAGE_URL and whose cluster is CLUSTER:
// the transaction, then the wait for an assignment message of every partition; then publish() and resend().
//
// CHAIN is JSON, what devchain.mjs says; KEY owns STREAM. With ENTRY_POINT (JSON {nodeId, websocket}) our node is itself in the
// network and the SDK hears it there. Without it a node of the network stands between: it sends what our node has stored
// of its own assignment messages (mode.trackedStreams must have "<cluster>/assignments"), byte for byte, and passes what the SDK
// publishes on to our node. Prints one JSON line.
// Run with: node --require ./loopback.cjs add-to-storage-node.mjs
import net from 'net'
import { createRequire } from 'module'
import { startStubChain } from './stub-chain.mjs'
import { wsNode, hex, sleep, tn } from './lib.mjs'
const require = createRequire(import.meta.url)
const { StreamrClient } = require('@streamr/sdk')

const { STORAGE_URL: url, CLUSTER: cluster, STREAM: streamId, KEY: key } = process.env
const chain = JSON.parse(process.env.CHAIN)
const assignments = cluster + '/assignments'
const freePort = () => new Promise((resolve) => {
    const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)) })
})
const stored = async (stream) => {
    const answer = await fetch(`${url}/stores/${encodeURIComponent(stream)}/data/partitions/0/from?fromTimestamp=0&format=raw`)
    const bytes = Buffer.from(await answer.arrayBuffer()), out = []
    for (let at = 0; at < bytes.length;) {
        const length = bytes.readUInt32BE(at)
        out.push(bytes.subarray(at + 4, at + 4 + length))
        at += 4 + length
    }
    return out
}

// ---- between our node and the network ----
let bridge, entryPoint = process.env.ENTRY_POINT && JSON.parse(process.env.ENTRY_POINT), over = false
if (!entryPoint) {
    const port = await freePort()
    bridge = wsNode('e'.repeat(40), port)
    await bridge.node.start()
    entryPoint = { nodeId: 'e'.repeat(40), websocket: { host: '127.0.0.1', port, tls: false } }
    await bridge.node.join(assignments + '#0')
    await bridge.node.join(streamId + '#0')
    bridge.node.addMessageListener(async (m) => {
        if (m.messageId.streamId !== streamId) return
        const raw = Buffer.from(tn.StreamMessage.toBinary(m)), length = Buffer.alloc(4)
        length.writeUInt32BE(raw.length)
        await fetch(`${url}/stores/${encodeURIComponent(streamId)}/data/partitions/0`, { method: 'POST', body: Buffer.concat([length, raw]) })
    })
    const pass = async () => {
        const sent = new Set((await stored(assignments)).map(hex)) // before: nobody asked for these
        while (!over) {
            for (const raw of await stored(assignments))
                if (!sent.has(hex(raw))) {
                    sent.add(hex(raw))
                    await bridge.node.broadcast(tn.StreamMessage.fromBinary(raw))
                }
            await sleep(50)
        }
    }
    pass()
}

// ---- the SDK; TheGraph is the stub's ----
const graph = await startStubChain(0)
graph.state.streams[streamId] = { metadata: { partitions: 1 }, permissions: {}, public: undefined, storageNodes: [cluster] }
graph.state.storageNodes[cluster] = { urls: [url] }
const client = new StreamrClient({
    environment: 'dev2', auth: { privateKey: key }, metrics: false, logLevel: 'warn',
    contracts: {
        ...graph.sdkContracts, rpcs: [{ url: chain.url }], streamRegistryChainAddress: chain.registry,
        streamStorageRegistryChainAddress: chain.storage, storageNodeRegistryChainAddress: chain.nodes
    },
    network: { controlLayer: {
        entryPoints: [entryPoint], entryPointDiscovery: { enabled: false },
        peerDescriptor: { nodeId: 'a'.repeat(40), websocket: { host: '127.0.0.1', port: await freePort(), tls: false } },
        websocketServerEnableTls: false
    } }
})
const stream = await client.getStream(streamId)
const result = {}
await stream.addToStorageNode(cluster, { wait: true, timeout: 60000 })
result.added = await client.isStoredStream(streamId, cluster)
await stream.publish({ hello: 'stored' })
const end = Date.now() + 30000
while ((await stored(streamId)).length === 0 && Date.now() < end) await sleep(50)
result.resent = []
for await (const m of await client.resend(streamId, { last: 1 })) result.resent.push(m.content)
await stream.removeFromStorageNode(cluster)
result.removed = !await client.isStoredStream(streamId, cluster)
console.log(JSON.stringify(result))
over = true
await client.destroy()
await bridge?.node.stop()
await graph.stop()
process.exit(0)
