import globals from 'globals'
import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', '.tap'] }),
  { files: ['examples/*/public/**', 'test/helpers/*-page.js'], languageOptions: { globals: globals.browser } },
  { rules: { 'no-void': ['error', { allowAsStatement: true }] } }
]
