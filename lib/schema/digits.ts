// Integers as text. V8 keeps the text of every number that it has written, thousands of them, which its garbage collector
// then has to move: a seventh of the CPU of an always-ready stream whose events have a number each.

const GROUP = 1_000

const plain = Array.from({ length: GROUP }, (_, n) => String(n))
const padded = plain.map((digits) => digits.padStart(3, '0'))

/** @param integer a safe one */
export function digitsOf (integer: number): string {
  if (integer < 0) return `-${digitsOf(-integer)}`
  if (integer < GROUP) return plain[integer] as string // below its length
  return digitsOf(Math.floor(integer / GROUP)) + (padded[integer % GROUP] as string)
}
