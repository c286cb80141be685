// A redis-server of the demo's own, in a folder that goes with it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

export async function startRedis () {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'sse-cluster-'))
  const server = spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', ''], { stdio: 'ignore' })
  const failed = once(server, 'error').then(([error]) => {
    rmSync(folder, { recursive: true })
    throw error.code === 'ENOENT' ? new Error('This demo needs redis-server: install it, for example by `apt install redis-server`') : error
  })
  await Promise.race([failed, answers(port)])
  return {
    port,
    async stop () {
      if (server.exitCode === null && server.signalCode === null) { // a terminal's signal reaches it too
        const over = once(server, 'exit')
        server.kill()
        await over
      }
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

async function answers (port) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    const isThere = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false)
    socket.destroy()
    if (isThere) return
    await delay(20)
  }
}

async function freePort () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}
