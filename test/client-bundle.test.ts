// What a page loads of the client.
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type BuildOptions, type BuildResult, type Metafile, type OutputFile } from 'esbuild'
import t from 'tap'

const root = resolve(fileURLToPath(import.meta.url), '../..')

/** As a page's bundler makes it. */
async function bundle (names: string, options: BuildOptions = {}) {
  const { metafile, outputFiles } = await build({
    stdin: { contents: `export { ${names} } from './lib/client/index.ts'`, resolveDir: root, loader: 'ts' },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
    ...options
  }) as BuildResult<{ write: false, metafile: true }>
  const [output] = Object.values(metafile.outputs) as [Metafile['outputs'][string]] // there is one entry
  const [{ text }] = outputFiles as [OutputFile] // likewise
  return {
    text,
    bytes: gzipSync(text, { level: 9 }).length,
    external: output.imports.map(({ path }) => path),
    files: Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file)
  }
}

const PARSER = '../wire/parse.js'
const withoutParser = { external: [PARSER] }

t.test('the whole client is less than 3 kB, minified and compressed, without the parser', async (t) => {
  const { bytes, external } = await bundle('subscribe, stream, SseClientError', withoutParser)
  t.comment(`${bytes} bytes`)
  t.ok(bytes < 3_000, `${bytes} bytes`)
  t.strictSame(external, [PARSER])
})

t.test('it needs nothing of Node.js, and nothing of the server\'s', async (t) => {
  const { external, bytes, text, files } = await bundle('subscribe, stream, SseClientError')
  t.ok(bytes < 3_600, `${bytes} bytes`)
  t.strictSame(external, [])
  t.notMatch(text, /\bnode:|\bBuffer\b|\bprocess\./)
  t.strictSame(files.filter((file) => !/^(?:<stdin>|lib\/client\/.*|lib\/wire\/(?:reserved|parse)\.ts)$/.test(file)), [])
})

t.test('who follows an EventSource loads no parser', async (t) => {
  const { external, bytes, files } = await bundle('subscribe', withoutParser)
  t.strictSame([external, files.includes('lib/client/stream.ts')], [[], false])
  t.ok(bytes < 2_200, `${bytes} bytes`)
})
