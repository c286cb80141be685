// Reads an event stream from the body of any response, since EventSource cannot POST.

/** Gives each frame as it came and what it says. The server ends lines with LF alone, so nothing else is looked for. */
export async function * readFrames (body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const frames = (text + value).split('\n\n')
      text = frames.pop()
      for (const frame of frames) yield parse(frame)
    }
  } finally {
    reader.cancel().catch(() => {}) // there is nobody left to tell
  }
}

function parse (raw) {
  const fields = { event: 'message', id: '' }
  const data = []
  for (const line of raw.split('\n')) {
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)
    if (name === 'data') data.push(value ?? '')
    else if (name in fields) fields[name] = value ?? ''
  }
  return { raw, ...fields, data: data.join('\n') }
}
