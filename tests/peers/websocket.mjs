// The `ws` package as client of the websocket plugin: URL of it, stream id, how many messages.
// Prints one JSON line of what it saw.
import WebSocket from 'ws'

const [url, stream, count] = process.argv.slice(2)
const at = `${url}/streams/${encodeURIComponent(stream)}`
const opened = (socket) => new Promise((resolve, reject) => {
    socket.on('open', resolve)
    socket.on('error', reject)
})

const subscriber = new WebSocket(`${at}/subscribe`)
const got = []
let pinged
const seen = new Promise((resolve) => { pinged = resolve })
subscriber.on('ping', pinged)
const complete = new Promise((resolve) => subscriber.on('message', (data, isBinary) => {
    got.push(isBinary ? null : JSON.parse(data.toString()))
    if (got.length == count) resolve()
}))
const publisher = new WebSocket(`${at}/publish?ack=true`)
const answers = []
const answered = new Promise((resolve) => publisher.on('message', (data) => {
    answers.push(JSON.parse(data.toString()))
    if (answers.length == count) resolve()
}))
await Promise.all([opened(subscriber), opened(publisher)])
await seen
for (let n = 0; n < count; n++) {
    const text = JSON.stringify({ n, text: 'é'.repeat(n % 200) })
    publisher.send(n % 2 ? Buffer.from(text) : text) // text and binary frames
}
await Promise.all([complete, answered])
const closed = new Promise((resolve) => subscriber.on('close', resolve))
subscriber.close(1000)
publisher.close(1000)
const refused = await new Promise((resolve) => {
    const socket = new WebSocket(`${url}/nothing`)
    socket.on('unexpected-response', (request, response) => resolve(response.statusCode))
})
console.log(JSON.stringify({
    inOrder: got.every((m, n) => m.n === n && m.text === 'é'.repeat(n % 200)),
    stored: answers.filter((a, n) => a.ack?.index === n && a.ack.outcome === 'stored').length,
    closeCode: await closed,
    refused
}))
