// Writes a text of its own from the words of another: a Markov chain of the second order.
import { readFileSync } from 'node:fs'

const ENOUGH_WORDS = 110

const corpus = readFileSync(new URL('corpus.txt', import.meta.url), 'utf8').split(/\s+/).filter(Boolean)

/** Two words to the words that follow them somewhere in the corpus, which is read as a circle: there is no dead end. */
const followers = new Map()
/** Where sentences begin. */
const starts = []

for (let i = 0; i < corpus.length; i++) {
  const [first, second, third] = [0, 1, 2].map((step) => corpus[(i + step) % corpus.length])
  const pair = `${first} ${second}`
  followers.set(pair, [...followers.get(pair) ?? [], third])
  if (isEnd(corpus.at(i - 1))) starts.push([first, second])
}

/** Gives words, each with the space before it, until a sentence ends and there are enough. */
export function * write (question) {
  let [first, second] = pick(startsAbout(question))
  yield first
  yield ` ${second}`
  for (let words = 2; words < ENOUGH_WORDS || !isEnd(second); words++) {
    [first, second] = [second, pick(followers.get(`${first} ${second}`))]
    yield ` ${second}`
  }
}

/** Sentences that begin with a word of the question, if there are any. */
function startsAbout (question) {
  const asked = new Set(question.toLowerCase().match(/\p{L}{3,}/gu))
  const about = starts.filter((pair) => pair.some((word) => asked.has(word.toLowerCase())))
  return about.length > 0 ? about : starts
}

function isEnd (word) {
  return word.endsWith('.')
}

function pick (list) {
  return list[Math.floor(Math.random() * list.length)]
}
