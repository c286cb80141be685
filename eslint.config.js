import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', '.tap'] }),
  { rules: { 'no-void': ['error', { allowAsStatement: true }] } }
]
