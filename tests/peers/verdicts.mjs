// COUNT messages whose signatures are mutated in many ways, and what the real @streamr/utils says of
// each. One JSON line a message: {"frame": hex of the protobuf, "valid": bool, "how": text}.
import { signer, contentMessage, hex, unhex, tn, utils } from './lib.mjs'
const evm = new utils.EcdsaSecp256k1Evm()
const s = signer('0x' + '11'.repeat(32))
const streamId = s.address + '/verdicts'
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const big = (b) => BigInt('0x' + hex(b))
const bytes = (x) => Buffer.from(x.toString(16).padStart(64, '0'), 'hex')
// A small generator, so that a failure can be repeated.
let seed = 12345
const random = (n) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return (seed >> 8) % n }

const highS = (sig) => Buffer.concat([sig.subarray(0, 32), bytes(N - big(sig.subarray(32, 64))), Buffer.from([55 - sig[64]])])
const set = (sig, at, value) => { const b = Buffer.from(sig); b[at] = value; return b }
const ways = [
    ['as it is', (x) => x],
    ['high s', highS],
    ['high s, same v', (x) => set(highS(x), 64, x[64])],
    ['r is zero', (x) => Buffer.concat([Buffer.alloc(32), x.subarray(32)])],
    ['s is zero', (x) => Buffer.concat([x.subarray(0, 32), Buffer.alloc(32), x.subarray(64)])],
    ['r is the order', (x) => Buffer.concat([bytes(N), x.subarray(32)])],
    ['s is the order', (x) => Buffer.concat([x.subarray(0, 32), bytes(N), x.subarray(64)])],
    ['64 bytes', (x) => x.subarray(0, 64)],
    ['66 bytes', (x) => Buffer.concat([x, Buffer.from([0])])],
    ['empty', () => Buffer.alloc(0)],
    ...[0, 1, 2, 3, 4, 26, 27, 28, 29, 30, 31, 255].map((v) => ['v ' + v, (x) => set(x, 64, v)]),
    ...[...Array(20)].map(() => ['a bit', (x) => { const at = random(x.length); return set(x, at, x[at] ^ (1 << random(8))) }]),
]
const count = Number(process.argv[2])
for (let i = 0; i < count; i++) {
    const [how, mutate] = ways[i % ways.length]
    const m = await contentMessage(s, { streamId, timestamp: 1700000000000 + i, chain: 'verdicts', content: { i } })
    const payload = Buffer.concat([Buffer.from(`${streamId}0${1700000000000 + i}0${s.address}verdicts`), Buffer.from(JSON.stringify({ i }))])
    m.signature = mutate(Buffer.from(m.signature))
    let valid = false
    try { valid = await evm.verifySignature(unhex(s.address), payload, m.signature) } catch { /* not valid */ }
    console.log(JSON.stringify({ frame: hex(tn.StreamMessage.toBinary(m)), valid, how }))
}
