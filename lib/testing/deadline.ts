// Deadlines that only fail.

/** @throws (rejects) what `late` gives, after so many ms */
export async function within<Value> (ms: number, work: Promise<Value>, late: () => Error): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => reject(late()), ms) })
  return Promise.race([work, deadline]).finally(() => clearTimeout(timer))
}
