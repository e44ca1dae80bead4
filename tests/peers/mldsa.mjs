// ROUNDS times a message signed with a random ML-DSA-87 key, as it is and changed in many ways, and what
// the real @streamr/utils says of each. One JSON line a message: {"frame": hex of the protobuf, "valid":
// bool, "how": text}. Keys come from @noble/post-quantum, which is what the SDK uses.
import { hex, tn, utils } from './lib.mjs'
import { ml_dsa87 } from '@noble/post-quantum/ml-dsa'

const verifier = new utils.MlDsa87()
const SIG = 4627, HINTS = SIG - 83, ENDS = SIG - 8
const streamId = '0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a/mldsa'
// A small generator, so that a failure can be repeated.
let seed = Number(process.argv[3])
const random = (n) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return (seed >> 8) % n }
const bytes = (n) => Buffer.from(Array.from({ length: n }, () => random(256)))

const flip = (b, at) => { const c = Buffer.from(b); c[at] ^= 1 << random(8); return c }
const edit = (f) => (sig) => { const c = Buffer.from(sig); f(c); return c }
// A coefficient of z, 20 bits: gamma1 minus its value.
const z = (value) => edit((c) => {
    const i = random(7 * 256), at = 64 + (i >> 1) * 5, x = (1 << 19) - value
    if (i % 2 === 0) { c[at] = x; c[at + 1] = x >> 8; c[at + 2] = (c[at + 2] & 0xf0) | (x >> 16) }
    else { c[at + 2] = (c[at + 2] & 0x0f) | (x << 4); c[at + 3] = x >> 4; c[at + 4] = x >> 12 }
})
const same = (sig) => sig
const ways = [
    ['as it is', same],
    ['a bit of the challenge', (s) => flip(s, random(64))],
    ['a bit of z', (s) => flip(s, 64 + random(HINTS - 64))],
    ['a bit of the hints', (s) => flip(s, HINTS + random(75))],
    ['a bit of the ends', (s) => flip(s, ENDS + random(8))],
    ['two hints swapped', edit((c) => { const a = c[HINTS]; c[HINTS] = c[HINTS + 1]; c[HINTS + 1] = a })],
    ['a hint twice', edit((c) => { c[HINTS + 1] = c[HINTS] })],
    ['something behind the hints', edit((c) => { c[ENDS - 1] = 1 + random(255) })],
    ['a hint fewer', edit((c) => { for (let i = ENDS; i < SIG; i++) if (c[i] === c[SIG - 1]) c[i]-- })],
    ['ends that fall', edit((c) => { c[ENDS + 3] = c[ENDS + 4] + 1 })],
    ['ends beyond', edit((c) => { c[SIG - 1] = 76 + random(180) })],
    ['no hints', edit((c) => { c.fill(0, HINTS) })],
    ['75 hints', edit((c) => { for (let i = 0; i < 75; i++) c[HINTS + i] = 3 * i; c.fill(75, ENDS) })],
    ['z at the limit', z((1 << 19) - 120)],
    ['z at the limit below', z(120 - (1 << 19))],
    ['z below the limit', z((1 << 19) - 121)],
    ['z largest', z(1 << 19)],
    ['a byte fewer', (s) => s.subarray(0, SIG - 1)],
    ['a byte more', (s) => Buffer.concat([s, Buffer.from([0])])],
    ['empty', () => Buffer.alloc(0)],
    ['random', () => bytes(SIG)],
    ['another message', same, (m) => { m.content = flip(m.content, random(m.content.length)) }],
    ['a bit of rho', same, (m) => { m.key = flip(m.key, random(32)) }],
    ['a bit of t1', same, (m) => { m.key = flip(m.key, 32 + random(2560)) }],
    ['a byte fewer of the key', same, (m) => { m.key = m.key.subarray(1) }],
    ['a byte more of the key', same, (m) => { m.key = Buffer.concat([m.key, Buffer.from([0])]) }],
    ['another key', same, (m) => { m.key = Buffer.from(ml_dsa87.keygen(bytes(32)).publicKey) }],
]

const say = async (m, signature, how) => {
    let valid = false
    try { valid = await verifier.verifySignature(m.key, payload(m), signature) } catch { /* not valid */ }
    console.log(JSON.stringify({
        how, valid, frame: hex(tn.StreamMessage.toBinary({
            messageId: { streamId, streamPartition: 0, timestamp: m.timestamp, sequenceNumber: 0, publisherId: m.key, messageChainId: 'mldsa' },
            signature, signatureType: tn.SignatureType.ML_DSA_87,
            body: { oneofKind: 'contentMessage', contentMessage: { content: m.content, contentType: tn.ContentType.BINARY, encryptionType: tn.EncryptionType.NONE } }
        }))
    }))
}
const payload = (m) => Buffer.concat([Buffer.from(`${streamId}0${m.timestamp}00x${hex(m.key)}mldsa`), m.content])
let timestamp = 1700000000000
for (let round = 0; round < Number(process.argv[2]); round++) {
    const pair = ml_dsa87.keygen(bytes(32))
    for (const [how, change, also] of ways) {
        const m = { key: Buffer.from(pair.publicKey), content: bytes(1 + random(500)), timestamp: timestamp++ }
        const signature = change(Buffer.from(await verifier.createSignature(payload(m), pair.secretKey)))
        if (also) also(m)
        await say(m, signature, how)
        // The key changed and the payload that names it signed anew: the signature alone must give it away.
        if (how.includes(' of rho') || how.includes(' of t1'))
            await say(m, Buffer.from(await verifier.createSignature(payload(m), pair.secretKey)), how + ', signed anew')
    }
}
