// The page: four panels. A browser opens six connections to a host over HTTP/1.1, and a stream holds one for as long
// as it is open. Three streams by EventSource leave room for the answer's fetch and for one short request more.
import { AnswerPanel } from './answer.js'
import { counterPanel } from './counter.js'
import { logPanel } from './log.js'
import { machinePanel } from './machine.js'

const answer = new AnswerPanel()

counterPanel()
logPanel()
machinePanel({ onAnswers: (answers) => answer.confirm(answers) })
