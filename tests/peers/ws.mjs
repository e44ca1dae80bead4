// The npm package `ws` against the node's own WebSockets.
//   node ws.mjs client URL            talks to an echo; one line of JSON says what came of it
//   node ws.mjs serve [CERT KEY]      echoes on a free port, which it prints; ends with its stdin
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import WebSocket, { WebSocketServer } from 'ws'

const once = (emitter, event) => new Promise((resolve, reject) => {
    emitter.once(event, (...args) => resolve(args))
    if (event !== 'close') emitter.once('error', reject)
})

const client = async (url) => {
    const ws = new WebSocket(url, ['other', 'echo.v1'], {
        perMessageDeflate: true, // offered; the node agrees to none
        rejectUnauthorized: false
    })
    await once(ws, 'open')
    const result = { protocol: ws.protocol, extensions: ws.extensions, wrong: [], sizes: 0 }
    const echoed = async (data, options = {}) => {
        const answer = once(ws, 'message')
        ws.send(data, options)
        const [back, isBinary] = await answer
        const same = Buffer.isBuffer(data) ? data.equals(back) && isBinary : data === back.toString() && !isBinary
        if (!same) result.wrong.push(data.length)
        result.sizes++
    }
    for (const size of [0, 1, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, 65537, 300000, 1 << 20]) {
        await echoed(randomBytes(size))
        await echoed('ü'.repeat(size >> 1))
    }
    // In pieces, with a ping between them.
    const whole = randomBytes(200000)
    const answer = once(ws, 'message')
    const pong = once(ws, 'pong')
    for (let at = 0; at < whole.length; at += 20000) {
        ws.send(whole.subarray(at, at + 20000), { fin: at + 20000 === whole.length, binary: true })
        if (at === 100000) ws.ping('in between')
    }
    result.pong = (await pong)[0].toString()
    if (!(await answer)[0].equals(whole)) result.wrong.push('pieces')
    // Many at once come back in order.
    const sums = []
    const count = 2000
    const all = new Promise((resolve) => ws.on('message', (data) => {
        sums.push(data.toString())
        if (sums.length === count) resolve()
    }))
    for (let i = 0; i < count; i++) ws.send(createHash('sha256').update(String(i)).digest('hex'))
    await all
    result.inOrder = sums.every((sum, i) => sum === createHash('sha256').update(String(i)).digest('hex'))
    const closed = once(ws, 'close')
    ws.close(4321, 'that is all')
    const [code, reason] = await closed
    result.code = code
    result.reason = reason.toString()
    console.log(JSON.stringify(result))
}

const serve = (cert, key) => {
    const server = cert
        ? createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) })
        : createServer()
    const wss = new WebSocketServer({ server, perMessageDeflate: true, maxPayload: 64 << 20 })
    wss.on('connection', (ws, request) => {
        const [, role, argument] = request.url.split('/')
        if (role === 'close') ws.close(Number(argument), 'as you asked')
        if (role === 'terminate') ws.terminate()
        ws.on('message', (data, isBinary) => {
            if (role === 'pieces') { // an answer in pieces, with pings between them
                for (let at = 0; at < data.length; at += 1000) {
                    ws.send(data.subarray(at, at + 1000), { fin: at + 1000 >= data.length, binary: isBinary })
                    if (at % 5000 === 0) ws.ping('x')
                }
            } else {
                ws.send(data, { binary: isBinary })
            }
        })
    })
    server.listen(0, '127.0.0.1', () => console.log(server.address().port))
    process.stdin.resume()
    process.stdin.on('end', () => process.exit(0))
}

const [mode, ...rest] = process.argv.slice(2)
if (mode === 'client') {
    await client(rest[0])
    process.exit(0)
}
serve(...rest)
