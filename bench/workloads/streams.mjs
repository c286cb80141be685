// A hundred always-ready streams, as stream.mjs has one.
import { runStreams } from './stream.mjs'

export const title = 'A hundred always-ready streams'
export { unit } from './stream.mjs'

export const run = ({ events = 500_000, ...given }) => runStreams(100, { events, ...given })
