// Commands from outside, JSON on a line each ({"do", "tag", ...}); the answer has the same tag, or "error". They run side by
// side: whoever needs an order waits for the answer. Ends with its standard input.
import net from 'net'
import readline from 'readline'
import { inspect } from 'util'

const say = (o) => process.stdout.write(JSON.stringify(o) + '\n')

export const freePort = () => new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)) })
})

export const serve = (commands) => {
    const answer = async (line) => {
        let tag
        try {
            const { do: what, tag: asked, ...q } = JSON.parse(line)
            tag = asked
            if (!commands[what]) throw new Error('there is no command ' + what)
            say({ ...await commands[what](q), tag })
        } catch (e) { say({ tag, error: inspect(e, { depth: 4 }).slice(0, 4000) }) }
    }
    process.on('unhandledRejection', (e) => say({ event: 'unhandled', error: String(e?.stack ?? e) }))
    say({ event: 'ready' })
    readline.createInterface({ input: process.stdin }).on('line', answer).on('close', () => process.exit(0))
}
