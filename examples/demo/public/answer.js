// Asks by POST, shows the answer while it comes, and stops it.
import { stream } from 'fastify-typed-sse/client'
import { Panel } from './panel.js'

export class AnswerPanel {
  #panel = new Panel('answer', { numbered: ['word'] })

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
      const events = stream('/answers', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ question }),
        signal: abort.signal,
        onState: (state) => { if (state === 'open') this.#panel.setState('open') }
      })
      for await (const event of events) this.#receive(event)
      this.#panel.setState('finished')
    } catch (error) {
      this.#panel.setState(abort.signal.aborted ? 'stopped' : 'closed')
      this.#panel.mark(abort.signal.aborted ? 'stopped by the reader' : error.message)
    } finally {
      this.#setRunning(false)
    }
  }

  #receive (received) {
    this.#panel.receive(received)
    const { event, data } = received
    if (event === 'begin') this.#answer = data.answer
    if (event === 'word') {
      const word = document.createElement('span')
      word.textContent = data.text
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
