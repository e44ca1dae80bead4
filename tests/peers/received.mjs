// What a node was given of one stream part: numbers per publisher, doubles, order; on request the messages themselves.
import { hex } from './lib.mjs'

const numberOf = (content) => {
    if (!content) return undefined
    const text = Buffer.from(content.subarray(0, 24)).toString()
    const m = /^\{"n":(\d+)[,}]/.exec(text) ?? /^(\d+):/.exec(text)
    return m ? Number(m[1]) : undefined
}

// Sorted numbers as [first, last] pairs.
const ranges = (numbers) => {
    const out = []
    for (const n of [...numbers].sort((a, b) => a - b)) {
        const last = out[out.length - 1]
        if (last && n === last[1] + 1) last[1] = n
        else out.push([n, n])
    }
    return out
}

export class Received {
    constructor(keep) {
        this.publishers = new Map()
        this.kept = keep ? [] : undefined
    }
    add(id, content, encoded) {
        const publisher = '0x' + hex(id.publisherId)
        if (!this.publishers.has(publisher)) this.publishers.set(publisher, { ids: new Set(), numbers: new Set(), duplicates: 0, disorder: 0, other: 0, last: -1 })
        const p = this.publishers.get(publisher)
        const key = `${id.messageChainId}/${id.timestamp}/${id.sequenceNumber}`
        if (p.ids.has(key)) p.duplicates++
        p.ids.add(key)
        const n = numberOf(content)
        if (n === undefined) p.other++
        else {
            p.numbers.add(n)
            if (n < p.last) p.disorder++
            p.last = Math.max(n, p.last)
        }
        this.kept?.push(hex(encoded()))
    }
    report() {
        return Object.fromEntries([...this.publishers].map(([publisher, p]) => [publisher, {
            count: p.ids.size, numbers: ranges(p.numbers), duplicates: p.duplicates, disorder: p.disorder, other: p.other
        }]))
    }
}
