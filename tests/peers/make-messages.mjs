// COUNT messages signed by a real SDK identity, length-prefixed, to the file OUT.
// Signing in JavaScript is slow, so the work is spread over the cores.
import { Worker, isMainThread, parentPort, workerData } from 'worker_threads'
import fs from 'fs'
import os from 'os'
import { signer, contentMessage, tn } from './lib.mjs'

const frame = (b) => { const h = Buffer.alloc(4); h.writeUInt32BE(b.length); return Buffer.concat([h, b]) }
if (isMainThread) {
    const [out, count] = [process.argv[2], Number(process.argv[3])]
    const n = os.cpus().length
    const parts = await Promise.all([...Array(n).keys()].map((i) => new Promise((resolve, reject) => {
        const from = Math.floor(count * i / n), to = Math.floor(count * (i + 1) / n)
        new Worker(new URL(import.meta.url), { workerData: { from, to } }).on('message', resolve).on('error', reject)
    })))
    fs.writeFileSync(out + '.part', Buffer.concat(parts))
    fs.renameSync(out + '.part', out)
} else {
    const s = signer('0x' + '22'.repeat(32))
    const streamId = s.address + '/many'
    const parts = []
    for (let i = workerData.from; i < workerData.to; i++) {
        const m = await contentMessage(s, {
            streamId, timestamp: 1600000000000 + i, chain: 'manymanymanymanymany', content: { n: i },
            prev: i > 0 ? { timestamp: 1600000000000 + i - 1, sequenceNumber: 0 } : undefined
        })
        parts.push(frame(Buffer.from(tn.StreamMessage.toBinary(m))))
    }
    parentPort.postMessage(Buffer.concat(parts))
}
