// A chain with Streamr's contracts, for tests: `devchain.mjs anvil` (a real EVM, the real contracts of
// @streamr/network-contracts 8.2.0) or `devchain.mjs stub` (stub-chain.mjs). Says {"url", "registry", "storage", "nodes"} on
// one line, then answers commands, JSON on a line each; ends with its standard input.
import { createRequire } from 'module'
import { spawn } from 'child_process'
import readline from 'readline'
import fs from 'fs'
import path from 'path'
import { signer, contentMessage, tn, unhex } from './lib.mjs'
import { startStubChain, ADDR, PUBSUB } from './stub-chain.mjs'
const require = createRequire(import.meta.url)
const { JsonRpcProvider, Contract, ContractFactory, NonceManager, Wallet, MaxUint256 } = require('ethers')
const C = require('streamr-contracts')

const OWNER_KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80' // anvil's first account
const PUBLISH = 2, SUBSCRIBE = 3
const METADATA = (partitions) => JSON.stringify({ partitions })
const say = (o) => process.stdout.write(JSON.stringify(o) + '\n')

// A message of publisher, signed with key; with contract: of type ERC-1271, published by that contract.
const message = async ({ key, stream, partition = 0, timestamp, content = { n: 1 }, contract }) => {
    const s = signer(key)
    const m = await contentMessage(contract ? { address: contract.toLowerCase(), sign: s.sign } : s,
        { streamId: stream, partition, timestamp, chain: 'chainchainchainchain', content })
    if (contract) m.signatureType = tn.SignatureType.ERC_1271
    return Buffer.from(tn.StreamMessage.toBinary(m)).toString('hex')
}

// A group key request or response.
const exchange = async ({ key, stream, partition = 0, timestamp, exchange: kind }) => {
    const s = signer(key), id = 'request-id', me = unhex(s.address), data = Buffer.alloc(256, 7)
    const head = Buffer.from(`${stream}${partition}${timestamp}0${s.address}chainchainchainchain${id}`)
    const body = kind === 'request'
        ? { oneofKind: 'groupKeyRequest', groupKeyRequest: { requestId: id, recipientId: me, publicKey: data, groupKeyIds: ['k'], encryptionType: 0 } }
        : { oneofKind: 'groupKeyResponse', groupKeyResponse: { requestId: id, recipientId: me, groupKeys: [{ id: 'k', data }], encryptionType: 0 } }
    const tail = kind === 'request' ? [data, Buffer.from('k')] : [Buffer.from('k'), data]
    return Buffer.from(tn.StreamMessage.toBinary({
        messageId: { streamId: stream, streamPartition: partition, timestamp, sequenceNumber: 0, publisherId: me, messageChainId: 'chainchainchainchain' },
        signature: await s.sign(Buffer.concat([head, me, ...tail])), signatureType: tn.SignatureType.ECDSA_SECP256K1_EVM, body
    })).toString('hex')
}

// isValidSignature(bytes32, bytes) in raw EVM: ecrecover, the magic value when it is the owner, else zero.
const walletCode = (owner) => {
    const code = '600435600052' + '60a43560001a602052' + '606435604052' + '608435606052' + '602060806080600060015afa50'
        + '608051' + '73' + owner.slice(2).toLowerCase() + '14' + '631626ba7e60e01b' + '02' + '600052' + '60206000f3'
    return '0x60' + (code.length / 2).toString(16).padStart(2, '0') + '8060093d393df3' + code
}

const startAnvil = async () => {
    const bin = path.join(path.dirname(require.resolve('@foundry-rs/anvil-linux-amd64/package.json')), 'bin', 'anvil')
    if (!fs.existsSync(bin)) throw new Error('anvil is not installed')
    const child = spawn(bin, ['--host', '127.0.0.1', '--port', '0', '--chain-id', '31337'], { stdio: ['ignore', 'pipe', 'inherit'] })
    process.on('exit', () => child.kill('SIGKILL'))
    child.on('exit', (code) => { if (!stopping) { console.error('anvil ended', code); process.exit(1) } })
    const lines = readline.createInterface({ input: child.stdout })
    const port = await new Promise((resolve) => lines.on('line', (line) => { const m = /Listening on 127\.0\.0\.1:(\d+)/.exec(line); if (m) resolve(m[1]) }))
    return { child, url: `http://127.0.0.1:${port}` }
}
let stopping = false

const anvil = async () => {
    const { child, url } = await startAnvil()
    const provider = new JsonRpcProvider(url, 31337, { staticNetwork: true, cacheTimeout: -1 })
    provider.pollingInterval = 20
    let owner = new NonceManager(new Wallet(OWNER_KEY, provider))
    const deploy = async (abi, code, ...init) => {
        const c = await new ContractFactory(abi, code, owner).deploy()
        await c.waitForDeployment()
        if (init.length) await (await c.initialize(...init)).wait()
        return c
    }
    const ZERO = '0x' + '00'.repeat(20)
    const nodes = await deploy(C.nodeRegistryABI, C.nodeRegistryBytecode, await owner.getAddress(), false, [], [])
    const registry = await deploy(C.streamRegistryABI, C.streamRegistryBytecode, ZERO, ZERO)
    const storage = await deploy(C.streamStorageRegistryABI, C.streamStorageRegistryBytecode, await registry.getAddress(), await nodes.getAddress(), ZERO)
    const funded = async (key) => {
        const w = new Wallet(key, provider)
        await (await owner.sendTransaction({ to: w.address, value: 10n ** 18n })).wait()
        return w
    }
    const done = async (tx) => { const r = await (await tx).wait(); return { block: r.blockNumber } }
    return {
        url, registry: await registry.getAddress(), storage: await storage.getAddress(), nodes: await nodes.getAddress(),
        stop: () => { stopping = true; child.kill('SIGKILL') },
        commands: {
            create: async ({ path: p, partitions = 1, key }) => // key: another owner than ours
                done((key ? registry.connect(await funded(key)) : registry).createStream(p, METADATA(partitions))),
            metadata: ({ stream, partitions }) => done(registry.updateStreamMetadata(stream, METADATA(partitions))),
            grant: ({ stream, user, right = PUBLISH, key }) => done((key ? registry.connect(new Wallet(key, provider)) : registry).grantPermissionForUserId(stream, user, right)),
            revoke: ({ stream, user, right = PUBLISH }) => done(registry.revokePermissionForUserId(stream, user, right)),
            until: ({ stream, user, publish, subscribe }) => done(registry.setPermissionsForUserIds(stream, [user], [[false, false, publish, subscribe, false]])),
            public: ({ stream, on = true, right = PUBLISH }) => done(on ? registry.grantPublicPermission(stream, right) : registry.revokePublicPermission(stream, right)),
            node: async ({ key, metadata = { urls: [] } }) => // a storage node registers itself; it needs money for that
                ({ ...await done(new Contract(nodes.target, C.nodeRegistryABI, await funded(key)).createOrUpdateNodeSelf(JSON.stringify(metadata), // what it takes depends on the second
                    { gasLimit: 1000000 })),
                    address: new Wallet(key).address.toLowerCase() }),
            remove: ({ stream }) => done(registry.deleteStream(stream)),
            assign: ({ stream, node, on = true }) => done(on ? storage.addStorageNode(stream, node) : storage.removeStorageNode(stream, node)),
            wallet: async ({ owner: address }) => {
                const receipt = await (await owner.sendTransaction({ data: walletCode(address) })).wait()
                return { contract: receipt.contractAddress }
            },
            rpc: async ({ method, params = [] }) => {
                const result = await provider.send(method, params)
                owner.reset()
                return { result }
            },
        }
    }
}

const stub = async () => {
    const chain = await startStubChain(0)
    const s = chain.state
    const owner = new Wallet(OWNER_KEY).address.toLowerCase()
    const none = { canEdit: false, canDelete: false, publishExpiration: 0n, subscribeExpiration: 0n, canGrant: false }
    const set = (stream, user, right, value) => {
        const p = s.streams[stream].permissions[user.toLowerCase()] ??= { ...none }
        p[right === SUBSCRIBE ? 'subscribeExpiration' : 'publishExpiration'] = value
        return {}
    }
    return {
        url: chain.base, registry: ADDR.streamRegistry, storage: ADDR.streamStorageRegistry, nodes: ADDR.nodeRegistry, stop: () => chain.stop(),
        commands: {
            create: ({ path: p, partitions = 1 }) => {
                s.streams[owner + p] = { metadata: { partitions }, permissions: { [owner]: { ...PUBSUB } }, storageNodes: [] }
                return {}
            },
            metadata: ({ stream, partitions }) => { s.streams[stream].metadata = { partitions }; return {} },
            grant: ({ stream, user, right = PUBLISH }) => set(stream, user, right, MaxUint256),
            revoke: ({ stream, user, right = PUBLISH }) => set(stream, user, right, 0n),
            public: ({ stream, on = true }) => { s.streams[stream].public = on ? { ...none, publishExpiration: MaxUint256 } : undefined; return {} },
            assign: ({ stream, node, on = true }) => { chain.assign(stream, node.toLowerCase(), on); return { block: s.block } },
            calls: () => ({ calls: s.calls.splice(0) }),
            mine: ({ n = 1 }) => { s.block += n; return {} },
        }
    }
}

const chain = await (process.argv[2] === 'stub' ? stub() : anvil())
chain.commands.message = async (q) => ({ message: await (q.exchange ? exchange : message)(q) })
chain.commands.credential = async ({ key, hex = false }) => { // who reads: docs/query-api.md
    const user = new Wallet(key).address.toLowerCase(), signature = await new Wallet(key).signMessage(user)
    const password = hex ? signature : Buffer.from(signature.slice(2), 'hex').toString('base64')
    return { header: 'Basic ' + Buffer.from(user + ':' + password).toString('base64') }
}
say({ url: chain.url, registry: chain.registry, storage: chain.storage, nodes: chain.nodes, owner: new Wallet(OWNER_KEY).address.toLowerCase(), ownerKey: OWNER_KEY })
for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
        const { do: what, ...args } = JSON.parse(line)
        say((await chain.commands[what](args)) ?? {})
    } catch (e) { say({ error: String(e.message ?? e) }) }
}
await chain.stop()
process.exit(0)
