// The page: six panels. A browser opens six connections to a host over HTTP/1.1, and a stream holds one for as long as
// it is open. Five streams leave the sixth to what is soon over: the answer, the late joiner, and short requests.
import { AnswerPanel } from './answer.js'
import { chatPanel } from './chat.js'
import { counterPanel } from './counter.js'
import { logPanel } from './log.js'
import { machinePanel } from './machine.js'
import { OrdersPanel } from './orders.js'
import { takeWindow } from './window.js'

if (await takeWindow()) {
  const answer = new AnswerPanel()

  counterPanel()
  machinePanel({ onAnswers: (answers) => answer.confirm(answers) })
  logPanel()
  chatPanel()
  new OrdersPanel().open()
} else {
  document.getElementById('taken').hidden = false
}
