// The real @streamr/sdk resend() against our node, whose URL is in STORAGE_URL.
// Messages are signed by the real @streamr/utils, uploaded, and read back through the SDK.
// Prints one JSON line: what each resend gave. Run with: node --require ./loopback.cjs resend.mjs
import { createRequire } from 'module'
import { startStubChain, ALL } from './stub-chain.mjs'
import { signer, contentMessage, hex, tn } from './lib.mjs'
const require = createRequire(import.meta.url)
const { StreamrClient } = require('@streamr/sdk')

const url = process.env.STORAGE_URL
const s = signer('0x' + '11'.repeat(32))
const streamId = s.address + '/stored'
const STORAGE = '0x' + 'b0'.repeat(20)
const frame = (b) => { const h = Buffer.alloc(4); h.writeUInt32BE(b.length); return Buffer.concat([h, b]) }

const frames = []
let prev
for (let i = 0; i < 4; i++) {
    const timestamp = 1700000000000 + i * 1000
    const content = i === 3 ? Buffer.from([1, 2, 3, 255]) : { n: i }
    frames.push(frame(Buffer.from(tn.StreamMessage.toBinary(await contentMessage(s, { streamId, timestamp, chain: 'chainchainchainchain', prev, content })))))
    prev = { timestamp, sequenceNumber: 0 }
}
const uploaded = await (await fetch(`${url}/stores/${encodeURIComponent(streamId)}/data/partitions/0`, { method: 'POST', body: Buffer.concat(frames) })).json()

const chain = await startStubChain(0)
chain.state.streams[streamId] = { metadata: { partitions: 1 }, permissions: { [s.address]: ALL }, public: undefined, storageNodes: [STORAGE] }
chain.state.storageNodes[STORAGE] = { urls: [url] }
const client = new StreamrClient({
    environment: 'dev2', auth: { privateKey: hex(s.privateKey) }, metrics: false, logLevel: 'warn',
    contracts: chain.sdkContracts, network: { controlLayer: { entryPoints: [], entryPointDiscovery: { enabled: false }, websocketPortRange: null } }
})
const resend = async (opts) => {
    const out = []
    for await (const m of await client.resend(streamId, opts)) out.push(m.content instanceof Uint8Array ? 'hex:' + hex(m.content) : m.content.n)
    return out
}
const result = {
    uploaded,
    last2: await resend({ last: 2 }),
    from: await resend({ from: { timestamp: 1700000001000 } }),
    range: await resend({ from: { timestamp: 1700000001000, sequenceNumber: 0 }, to: { timestamp: 1700000002000, sequenceNumber: 5 } }),
    rangeOfChain: await resend({ from: { timestamp: 1700000000000 }, to: { timestamp: 1700000002000 }, publisherId: s.address, msgChainId: 'chainchainchainchain' }),
}
console.log(JSON.stringify(result))
await client.destroy()
await chain.stop()
process.exit(0)
