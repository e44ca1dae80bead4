// The npm client `mqtt`: mqtt.mjs <port> <topic>. Prints one line of JSON with what it saw.
import mqtt from 'mqtt'

const [port, topic] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
const seen = {}
const messages = []

const waitFor = async (condition) => {
    while (!condition()) {
        await new Promise((resolve) => setTimeout(resolve, 5))
    }
}

const subscriber = await mqtt.connectAsync(url, { clientId: 'npm-subscriber', clean: false, reconnectPeriod: 50 })
subscriber.on('message', (t, payload, packet) => {
    messages.push([t, JSON.parse(payload.toString()).n, packet.qos, packet.retain])
})
seen.granted = (await subscriber.subscribeAsync([topic, `${topic}?partition=0`], { qos: 1 })).map((g) => g.qos)
seen.wildcard = await subscriber.subscribeAsync(`${topic}/#`, { qos: 1 }).then(() => 'granted', () => 'refused')

const publisher = await mqtt.connectAsync(url, { clientId: 'npm-publisher' })
for (let n = 0; n < 30; n++) {
    await publisher.publishAsync(topic, JSON.stringify({ n }), { qos: n % 3, retain: n % 2 === 1 })
}
await waitFor(() => messages.length === 60)
seen.topics = [...new Set(messages.map((m) => m[0]))].sort()
seen.numbers = messages.filter((m) => m[0] === topic).map((m) => m[1])
seen.qos = [...new Set(messages.map((m) => m[2]))]
seen.retained = messages.some((m) => m[3])

// What is published while the subscriber is away comes after it has connected again.
messages.length = 0
subscriber.stream.destroy()
await waitFor(() => !subscriber.connected)
await publisher.publishAsync(topic, JSON.stringify({ n: 100 }), { qos: 1 })
await waitFor(() => messages.length >= 2)
seen.after = messages.map((m) => m[1])

await subscriber.endAsync()
await publisher.endAsync()
console.log(JSON.stringify(seen))
