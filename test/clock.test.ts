// The timer that all streams share, and the turns that they take: without a stream and without real time.
import fc from 'fast-check'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Clock, type Sleeper } from '../lib/clock.js'
import { Turns } from '../lib/stream/turns.js'

/** Time that passes when it is told to, with at most one timer: more would be a leak. */
class Time {
  now = 0
  #timer: { callback: () => void, at: number } | undefined
  sets = 0

  readonly timers = {
    now: () => this.now,
    setTimeout: (callback: () => void, ms: number) => {
      if (this.#timer !== undefined) throw new Error('a second timer')
      this.sets++
      this.#timer = { callback, at: this.now + ms }
      return this.#timer
    },
    clearTimeout: (timer: unknown) => { if (timer === this.#timer) this.#timer = undefined }
  }

  get isSet (): boolean {
    return this.#timer !== undefined
  }

  pass (ms: number): void {
    const end = this.now + ms
    while (this.#timer !== undefined && this.#timer.at <= end) {
      const { callback, at } = this.#timer
      this.#timer = undefined
      this.now = at
      callback()
    }
    this.now = end
  }
}

const sleeper = (wake: (now: number) => number): Sleeper => ({ wakeAt: Infinity, heapIndex: -1, wake })

t.test('a sleeper is woken when it is due, and again when it says', async (t) => {
  const time = new Time()
  const clock = new Clock(time.timers)
  const woken: number[] = []
  const one = sleeper((now) => { woken.push(now); return now < 60 ? now + 20 : Infinity })
  clock.wake(one, 15)
  time.pass(14)
  t.strictSame(woken, [])
  time.pass(100)
  t.strictSame(woken, [15, 35, 55, 75])
  t.equal(clock.size, 0)
  t.notOk(time.isSet)
})

t.test('a time that is set anew counts, earlier or later', async (t) => {
  const time = new Time()
  const clock = new Clock(time.timers)
  const woken: number[] = []
  const one = sleeper((now) => { woken.push(now); return Infinity })
  clock.wake(one, 50)
  clock.wake(one, 10)
  time.pass(60)
  t.strictSame(woken, [10])
  clock.wake(one, 70)
  clock.wake(one, 90)
  time.pass(100)
  t.strictSame(woken, [10, 90])
})

t.test('one that is cancelled is not woken, and leaves no timer', async (t) => {
  const time = new Time()
  const clock = new Clock(time.timers)
  const one = sleeper(() => t.fail('must not be woken') as never)
  clock.cancel(one)
  clock.wake(one, Infinity)
  t.equal(clock.size, 0)
  clock.wake(one, 10)
  clock.cancel(one)
  clock.cancel(one)
  t.notOk(time.isSet)
  time.pass(100)
})

t.test('one that throws does not keep the others asleep', async (t) => {
  const time = new Time()
  const clock = new Clock(time.timers)
  const woken: number[] = []
  clock.wake(sleeper(() => { throw new Error('in a sleeper') }), 10)
  clock.wake(sleeper((now) => { woken.push(now); return Infinity }), 20)
  t.throws(() => time.pass(10), { message: 'in a sleeper' })
  time.pass(10)
  t.strictSame(woken, [20])
})

t.test('thousands that are due at once are woken in batches, none late by more than a timer', async (t) => {
  const time = new Time()
  const clock = new Clock(time.timers)
  const woken: number[] = []
  for (let n = 0; n < 1_000; n++) clock.wake(sleeper((now) => { woken.push(now); return Infinity }), 10)
  t.equal(time.sets, 1)
  time.pass(10)
  t.equal(woken.length, 128)
  time.pass(10)
  t.equal(woken.length, 1_000)
})

t.test('whatever is set, moved and cancelled: all are woken once, in order, at their time', async (t) => {
  const step = fc.record({ who: fc.nat(9), at: fc.option(fc.nat(50)), pass: fc.nat(5) })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const time = new Time()
    const clock = new Clock(time.timers)
    const due = new Map<number, number>()
    let last = -1
    const sleepers = Array.from({ length: 10 }, (_, who) => sleeper((now) => {
      const at = due.get(who) as number
      if (at === undefined || now < at || at < last) throw new Error(`woken at ${now} in place of ${at}`)
      if (now > Math.max(at, last) + 1) throw new Error(`late: woken at ${now} in place of ${at}`)
      last = Math.max(last, at)
      due.delete(who)
      return Infinity
    }))
    for (const { who, at, pass } of steps) {
      if (at === null) {
        due.delete(who)
        clock.cancel(sleepers[who] as Sleeper)
      } else {
        due.set(who, time.now + at)
        clock.wake(sleepers[who] as Sleeper, time.now + at)
      }
      last = Math.max(last, time.now)
      if (clock.size !== due.size) throw new Error('size')
      time.pass(pass)
    }
    time.pass(200)
    if (due.size > 0 || time.isSet) throw new Error('not all were woken')
  }), { numRuns: 300 })
  t.pass('no run has thrown')
})

t.test('by default time is real', async (t) => {
  const clock = new Clock()
  const before = clock.now
  const woken = await new Promise<number>((resolve) => clock.wake(sleeper((now) => { resolve(now); return Infinity }), before + 5))
  t.ok(woken >= before + 5)
  clock.wake(sleeper(() => Infinity), Infinity)
  const cancelled = sleeper(() => t.fail('must not be woken') as never)
  clock.wake(cancelled, clock.now + 5)
  clock.cancel(cancelled)
  t.equal(clock.size, 0)
})

t.test('of those that wait, one goes on in each turn of the event loop, first come, first served', async (t) => {
  const turns = new Turns()
  const taken: number[] = []
  for (let n = 0; n < 5; n++) turns.wait({ takeTurn: () => { taken.push(n) } })
  const seen = []
  for (let n = 0; n < 6; n++) {
    await turn()
    seen.push(taken.length)
  }
  t.strictSame(taken, [0, 1, 2, 3, 4])
  t.ok(seen.every((count, index) => count <= index + 1), seen.join())
})

t.test('thousands may wait, and come again', async (t) => {
  const turns = new Turns()
  const taken: number[] = []
  for (let n = 0; n < 2_500; n++) {
    let again = n % 1_000 === 0
    turns.wait({
      takeTurn () {
        taken.push(n)
        if (again) turns.wait(this)
        again = false
      }
    })
  }
  while (taken.length < 2_503) await turn()
  t.strictSame(taken, [...Array.from({ length: 2_500 }, (_, n) => n), 0, 1_000, 2_000])
})
