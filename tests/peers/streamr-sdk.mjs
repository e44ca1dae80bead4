// Real Streamr SDK clients, offline, driven from outside as streamr-node.mjs is: publishers, subscribers, resends. The
// chain is stub-chain.mjs in this process, or one given ({url, registry, storage}: devchain.mjs). Clients are named by
// whoever starts them. Run: node --require ./loopback.cjs streamr-sdk.mjs
import { createRequire } from 'module'
import { startStubChain, ADDR, ALL, PUBSUB, SUB } from './stub-chain.mjs'
import { signer, hex } from './lib.mjs'
import { serve, freePort } from './commands.mjs'
const require = createRequire(import.meta.url)
const { StreamrClient, convertStreamMessageToBytes } = require('@streamr/sdk')

const stub = await startStubChain(0)
const clients = new Map() // name -> { client, address, subscriptions: Map part -> seen }
const of = (name) => clients.get(name) ?? (() => { throw new Error('there is no client ' + name) })()
const RIGHTS = { all: ALL, both: PUBSUB, subscribe: SUB, publish: { ...PUBSUB, subscribeExpiration: 0n } }

// The real contracts; what the SDK asks of The Graph is still answered here.
const contractsOf = (chain) => (chain === undefined ? stub.sdkContracts : {
    ...stub.sdkContracts,
    streamRegistryChainAddress: chain.registry, streamStorageRegistryChainAddress: chain.storage, rpcs: [{ url: chain.url }]
})

const seenOf = (m) => ({
    ...(m.content instanceof Uint8Array ? { hex: hex(m.content) } : { content: m.content }),
    publisher: m.publisherId, timestamp: m.timestamp, sequence: m.sequenceNumber, chain: m.msgChainId,
    key: m.groupKeyId ?? m.encryptionKeyId ?? null
})

await serve({
    chain: () => ({ url: stub.base, registry: ADDR.streamRegistry, storage: ADDR.streamStorageRegistry }),
    // users: { address: all | both | publish | subscribe }. public: anybody may read it, so the SDK does not encrypt.
    stream: ({ stream, partitions = 1, users = {}, public: open = false, storageNodes = [] }) => {
        stub.state.streams[stream] = {
            metadata: { partitions }, public: open ? { ...SUB } : undefined, storageNodes: storageNodes.map((a) => a.toLowerCase()),
            permissions: Object.fromEntries(Object.entries(users).map(([user, right]) => [user.toLowerCase(), { ...RIGHTS[right] }]))
        }
    },
    grant: ({ stream, user, right }) => { stub.state.streams[stream].permissions[user.toLowerCase()] = { ...RIGHTS[right] } },
    storageNode: ({ address, url }) => { stub.state.storageNodes[address.toLowerCase()] = { urls: [url] } },
    // port: null no server, 0 a free one.
    client: async ({ client, key, nodeId, port = 0, entryPoints, chain }) => {
        const ownPort = port === 0 ? await freePort() : port
        const s = signer(key)
        const c = new StreamrClient({
            environment: 'dev2', auth: { privateKey: key }, metrics: false, logLevel: 'warn', contracts: contractsOf(chain),
            encryption: { rsaKeyLength: 1024 },
            network: { controlLayer: {
                entryPoints: entryPoints.map((e) => ({ nodeId: e.nodeId, websocket: { host: '127.0.0.1', port: e.port, tls: false } })),
                entryPointDiscovery: { enabled: false }, websocketServerEnableTls: false,
                ...(ownPort ? { peerDescriptor: { nodeId, websocket: { host: '127.0.0.1', port: ownPort, tls: false } } } : { websocketPortRange: null })
            } }
        })
        clients.set(client, { client: c, address: s.address, subscriptions: new Map() })
        return { port: ownPort, address: s.address }
    },
    // Numbers first to first + count - 1. messages: as the SDK encoded them.
    publish: async ({ client, stream, partition = 0, count = 1, first = 0, binary = false, pad = 0 }) => {
        const messages = []
        for (let n = first; n < first + count; n++) {
            const content = binary ? Buffer.from(`${n}:${'\u0000\u00ff'.repeat(pad)}`) : { n, pad: 'x'.repeat(pad) }
            const { streamMessage } = await of(client).client.publish({ streamId: stream, partition }, content)
            messages.push(hex(convertStreamMessageToBytes(streamMessage)))
        }
        return { messages }
    },
    // how: rotate (the next message carries the new key) or rekey (it is asked for).
    rotate: ({ client, stream, how = 'rotate' }) => of(client).client.updateEncryptionKey({ streamId: stream, distributionMethod: how }),
    subscribe: async ({ client, stream, partition = 0 }) => {
        const seen = { accepted: [], errors: [] }
        const c = of(client)
        c.subscriptions.set(`${stream}#${partition}`, seen)
        const subscription = await c.client.subscribe({ streamId: stream, partition }, (content, m) => seen.accepted.push(seenOf({ ...m, content })))
        subscription.on('error', (e) => seen.errors.push({ code: e.code ?? null, message: String(e.message) }))
    },
    // What was accepted: decrypted, its signature and its publisher's permission checked by the SDK.
    report: ({ client, stream, partition = 0 }) => of(client).subscriptions.get(`${stream}#${partition}`),
    count: ({ client, stream, partition = 0 }) => ({ accepted: of(client).subscriptions.get(`${stream}#${partition}`).accepted.length }),
    resend: async ({ client, stream, partition = 0, ...options }) => {
        const messages = []
        for await (const m of await of(client).client.resend({ streamId: stream, partition }, options)) messages.push(seenOf(m))
        return { messages }
    },
    destroy: async ({ client }) => { const c = of(client); clients.delete(client); await c.client.destroy() }
})
