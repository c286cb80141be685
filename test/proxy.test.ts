// Real proxies between server and client: events pass one by one, and idle streams stay open.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { readStream } from './helpers/read-events.js'
import { serve, type Served } from './helpers/serve.js'

async function freePort (): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listens (port: number): Promise<void> {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    const open = await new Promise<boolean>((resolve) => socket.on('connect', () => resolve(true)).on('error', () => resolve(false)))
    socket.destroy()
    if (open) return
    await delay(20)
  }
}

const isThere = (command: string) => {
  try {
    return execFileSync('sh', ['-c', `command -v ${command} || ls /usr/sbin/${command}`], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

/** Starts a proxy in the foreground on a configuration file, and ends it with its test. */
async function start (t: Test, command: string, args: (folder: string) => string[], files: Record<string, string>, port: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sse-proxy-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text.replaceAll('FOLDER', folder))
  const child = spawn(command, args(folder), { stdio: 'ignore' })
  t.teardown(async () => {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
    rmSync(folder, { recursive: true, force: true })
  })
  await listens(port)
  return `http://127.0.0.1:${port}`
}

/** `location` is all that an operator would write; the rest is what lets it run without privileges. */
const nginx = (port: number, upstream: number, location: string) => `
  pid FOLDER/pid; error_log FOLDER/error.log; daemon off; worker_processes 1;
  events {}
  http {
    access_log off;
    client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${upstream}; ${location} } }
  }`

const haproxy = (port: number, upstream: number) => `
  defaults
    mode http
    timeout connect 1s
    timeout client 2s
    timeout server 2s
    option http-no-delay
  frontend in
    bind 127.0.0.1:${port}
    default_backend out
  backend out
    server app 127.0.0.1:${upstream}
`

const proxies: Record<string, { command: string, args: (folder: string) => string[], config: (port: number, upstream: number) => string }> = {
  'nginx with its defaults': { command: 'nginx', args: (folder) => ['-c', join(folder, 'config'), '-p', folder], config: (port, upstream) => nginx(port, upstream, '') },
  'nginx with HTTP/1.1 and a read timeout of 2 s': {
    command: 'nginx',
    args: (folder) => ['-c', join(folder, 'config'), '-p', folder],
    config: (port, upstream) => nginx(port, upstream, 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 2s;')
  },
  'haproxy with timeouts of 2 s': { command: 'haproxy', args: (folder) => ['-f', join(folder, 'config')], config: haproxy }
}

for (const [name, { command, args, config }] of Object.entries(proxies)) {
  const path = isThere(command)
  // CI installs them; there, a proxy that is missing is a failure.
  const skip = path === undefined && process.env.CI === undefined ? `${command} is not installed` : false
  t.test(`${name} passes each event on at once, and keeps an idle stream`, { skip }, async (t) => {
    let say = (_text: string) => {}
    const served: Served = await serve(t, (app) => {
      app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
        while (!signal.aborted) yield await new Promise<string>((resolve) => { say = resolve; signal.addEventListener('abort', () => resolve('')) })
      }, { openAfter: 0, heartbeat: 500 }))
    })
    const port = await freePort()
    const base = await start(t, path as string, args, { config: config(port, served.port) }, port)
    const client = await readStream(base)
    await client.until(':\n') // the headers and the first byte, before any event
    t.match(client.headers['content-type'], 'text/event-stream')
    for (const word of ['one', 'two', 'three']) {
      say(word)
      await client.until(`data: ${word}\n\n`) // each is there before the next is said
    }
    // Longer than the proxies' patience without a byte.
    await client.until((text) => text.slice(text.indexOf('three')).split(':\n').length > 5)
    say('still here')
    await client.until('data: still here\n\n')
    client.close()
    t.equal((await served.whenClosed()).reason, 'client', 'the server hears that the client has left')
  })
}
