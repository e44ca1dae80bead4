// resend() of the real SDK (103) and of the real streamr-client 8.5.5 against our node, plain and encrypted, from one store:
// STORAGE_URL stores the stream STREAM, whose owner has the key KEY. Prints one JSON line.
// Run with: node --require ./loopback.cjs resend-both.mjs
import crypto from 'crypto'
import { createRequire } from 'module'
import { startStubChain, ALL } from './stub-chain.mjs'
import { signer, hex, unhex, tn } from './lib.mjs'
const require = createRequire(import.meta.url)
const sdk = require('@streamr/sdk')
const old = require('streamr-client')

const url = process.env.STORAGE_URL, streamId = process.env.STREAM
const s = signer(process.env.KEY)
const STORAGE = '0x' + 'b0'.repeat(20)
const CHAIN = 'chainchainchainchain'
const LEGACY = tn.SignatureType.ECDSA_SECP256K1_LEGACY, EVM = tn.SignatureType.ECDSA_SECP256K1_EVM
const KEYS = [{ id: 'key-one', data: Buffer.alloc(32, 1) }, { id: 'key-two', data: Buffer.alloc(32, 2) }]
const aes = (key, plain) => {
    const iv = crypto.randomBytes(16)
    return Buffer.concat([iv, crypto.createCipheriv('aes-256-ctr', key.data, iv).update(plain)])
}

// A signed message, in today's way or in that of version 8: then the hex of what is encrypted is signed.
let prev, at = Number(process.env.AT ?? 1700000000000)
const message = async ({ content, key, next, type }) => {
    at += 1000
    const binary = content instanceof Uint8Array
    const plain = binary ? Buffer.from(content) : Buffer.from(JSON.stringify(content))
    const bytes = key ? aes(key, plain) : plain
    const newGroupKey = next && { id: next.id, data: aes(key, next.data) }
    const head = `${streamId}0${at}0${s.address}${CHAIN}` + (prev ? `${prev.timestamp}${prev.sequenceNumber}` : '')
    const payload = type === LEGACY
        ? Buffer.from(head + (key ? hex(bytes) : plain) + (next ? JSON.stringify([next.id, hex(newGroupKey.data)]) : ''))
        : Buffer.concat([Buffer.from(head), bytes, ...(next ? [Buffer.from(next.id), newGroupKey.data] : [])])
    const m = {
        messageId: { streamId, streamPartition: 0, timestamp: at, sequenceNumber: 0, publisherId: unhex(s.address), messageChainId: CHAIN },
        previousMessageRef: prev, signature: await s.sign(payload), signatureType: type,
        body: { oneofKind: 'contentMessage', contentMessage: {
            content: bytes, contentType: binary ? tn.ContentType.BINARY : tn.ContentType.JSON,
            encryptionType: key ? tn.EncryptionType.AES : tn.EncryptionType.NONE, groupKeyId: key?.id, newGroupKey } }
    }
    prev = { timestamp: at, sequenceNumber: 0 }
    const raw = Buffer.from(tn.StreamMessage.toBinary(m)), length = Buffer.alloc(4)
    length.writeUInt32BE(raw.length)
    return Buffer.concat([length, raw])
}
const first = at + 1000
const frames = []
for (const how of [
    { content: { n: 0 }, type: EVM },
    { content: { n: 1, text: 'a "quote", a \\ and \n ü €' }, type: LEGACY },
    { content: { n: 2 }, type: LEGACY, key: KEYS[0] },
    { content: { n: 3 }, type: LEGACY, key: KEYS[0], next: KEYS[1] },
    { content: { n: 4 }, type: LEGACY, key: KEYS[1] },
    { content: { n: 5 }, type: EVM, key: KEYS[1] },
    { content: Buffer.from([1, 2, 3, 255]), type: EVM },
]) frames.push(await message(how))
const body = Buffer.concat(frames)
const data = `${url}/stores/${encodeURIComponent(streamId)}/data/partitions/0`
const uploaded = await (await fetch(data, { method: 'POST', body })).json()
const back = Buffer.from(await (await fetch(`${data}/range?fromTimestamp=${first}&toTimestamp=${at}&format=raw`)).arrayBuffer())

const chain = await startStubChain(0)
chain.state.streams[streamId] = { metadata: { partitions: 1 }, permissions: { [s.address]: ALL }, public: undefined, storageNodes: [STORAGE] }
chain.state.storageNodes[STORAGE] = { http: url + '/v8', urls: [url] }
const clients = {
    v103: () => new sdk.StreamrClient({
        environment: 'dev2', auth: { privateKey: hex(s.privateKey) }, metrics: false, logLevel: 'warn',
        contracts: chain.sdkContracts, network: { controlLayer: { entryPoints: [], entryPointDiscovery: { enabled: false }, websocketPortRange: null } }
    }),
    v8: () => new old.StreamrClient({
        ...old.CONFIG_TEST, auth: { privateKey: '0x' + hex(s.privateKey) }, metrics: false, logLevel: 'warn',
        contracts: {
            ...old.CONFIG_TEST.contracts,
            streamRegistryChainAddress: chain.sdkContracts.streamRegistryChainAddress,
            streamStorageRegistryChainAddress: chain.sdkContracts.streamStorageRegistryChainAddress,
            storageNodeRegistryChainAddress: chain.sdkContracts.storageNodeRegistryChainAddress,
            streamRegistryChainRPCs: { name: 'stub', chainId: 31337, rpcs: [{ url: chain.base }] },
            mainChainRPCs: { name: 'stub', chainId: 31337, rpcs: [{ url: chain.base }] },
            theGraphUrl: chain.base + '/graph'
        }
    })
}
const result = { uploaded, exact: back.equals(body) }
for (const [name, make] of Object.entries(clients)) {
    const client = make()
    const Key = (name === 'v8' ? old : sdk).EncryptionKey
    await client.addEncryptionKey(new Key(KEYS[0].id, KEYS[0].data), s.address)
    const resend = async (opts) => {
        const out = []
        for await (const m of await client.resend(streamId, opts)) {
            const c = m.content ?? m.getParsedContent()
            out.push(c instanceof Uint8Array ? 'hex:' + hex(c) : c.text ?? c.n)
        }
        return out
    }
    result[name] = {
        from: await resend({ from: { timestamp: first } }),
        range: await resend({ from: { timestamp: first + 1000 }, to: { timestamp: first + 2000 } }),
        chain: await resend({ from: { timestamp: first }, to: { timestamp: first + 1000 }, publisherId: s.address, msgChainId: CHAIN }),
        last4: await resend({ last: 4 }),
    }
    await client.destroy()
}
console.log(JSON.stringify(result))
await chain.stop()
process.exit(0)
