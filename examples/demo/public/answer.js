// Asks by POST, shows the answer while it comes, and stops it.
import { Panel } from './panel.js'
import { readFrames } from './read-frames.js'

export class AnswerPanel {
  #panel = new Panel('answer', {
    origin: 'the bytes of the response',
    numbered: ['word']
  })

  #text = this.#panel.find('text')
  #start = this.#panel.find('start')
  #stop = this.#panel.find('stop')
  /** The one that is shown, by the server's number. */
  #answer
  #abort

  constructor () {
    this.#panel.find('cut').remove()
    this.#panel.setNote('Stop ends the answer on the server, not only here.')
    this.#panel.find('ask').addEventListener('submit', (event) => {
      event.preventDefault()
      this.#ask(new FormData(event.target).get('question'))
    })
    this.#stop.addEventListener('click', () => this.#abort.abort())
  }

  /** What the server says of all its answers, by way of the machine's stream. */
  confirm ({ running, finished, stopped, last }) {
    this.#panel.find('running').textContent = running
    this.#panel.find('finished').textContent = finished
    this.#panel.find('stopped').textContent = stopped
    if (last !== null && last.answer === this.#answer) {
      this.#panel.setNote(`The server says: answer ${last.answer} ${last.stopped ? 'stopped' : 'finished'} after ${last.words} words`, 'good')
    }
  }

  async #ask (question) {
    const abort = this.#abort = new AbortController()
    this.#answer = undefined
    this.#text.replaceChildren()
    this.#panel.restart()
    this.#panel.setNote('')
    this.#setRunning(true)
    this.#panel.setState('connecting')
    try {
      const response = await fetch('/answers', {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
        body: JSON.stringify({ question }),
        signal: abort.signal
      })
      if (!response.ok) throw new Error(`The server answered ${response.status}`)
      this.#panel.setState('open')
      for await (const frame of readFrames(response.body)) this.#receive(frame)
      this.#panel.setState('finished')
    } catch (error) {
      this.#panel.setState(abort.signal.aborted ? 'stopped' : 'closed')
      this.#panel.mark(abort.signal.aborted ? 'stopped by the reader' : error.message)
    } finally {
      this.#setRunning(false)
    }
  }

  #receive ({ raw, event, data, id }) {
    this.#panel.receive({ type: event, lastEventId: id }, raw)
    if (data === '') return
    const payload = JSON.parse(data)
    if (event === 'begin') this.#answer = payload.answer
    if (event === 'word') {
      const word = document.createElement('span')
      word.textContent = payload.text
      this.#text.append(word)
      this.#text.scrollTop = this.#text.scrollHeight
    }
  }

  #setRunning (running) {
    this.#start.disabled = running
    this.#stop.disabled = !running
    this.#text.ariaBusy = String(running)
  }
}
