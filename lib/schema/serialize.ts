/* eslint no-template-curly-in-string: "off" -- the templates stand in the code that is generated here */
// A function made for one schema that writes its values as JSON: the property names, quotes and commas are
// constants in it, and nothing is enumerated.
//
// It is total: a value of a type that the schema does not name is written as JSON.stringify would. Of an object
// it writes the properties that the schema declares, as Fastify's own serializer does, so that what nobody
// declared does not leak; of a union's or an intersection's objects, those that any member declares. Where the
// schema allows any further properties, all are written.
import { Kind, type TSchema } from '@sinclair/typebox'
import { escapeJson, staysOnLine } from '../wire/encode.js'
import { digitsOf } from './digits.js'
import { REFINEMENT } from './refinement.js'

export type Stringify = (value: unknown) => string | undefined

// What JSON or the wire needs escaped; a lone surrogate is one that JSON.stringify escapes, so any is looked at twice.
// eslint-disable-next-line no-control-regex -- control characters are what this looks for
const NEEDS_ESCAPE = /["\\\u0000-\u001f\u0085\u2028\u2029\ud800-\udfff]/

/** One comparison a character, where the expression above makes many: of 300 characters it takes two fifths of the time. */
const NO_CONTROLS = /^[ -\uffff]*$/

/** From so many characters on, one pass and seven native calls are faster than one pass of many comparisons. */
const LONG = 100

function isPlain (text: string): boolean {
  if (text.length < LONG) return !NEEDS_ESCAPE.test(text)
  // Each of these is a native search; of those for what Latin-1 has not, the answer is known where the text is kept as such.
  // What stands in most texts that need it comes first: where the expression fails, it goes all the way back.
  return !text.includes('\n') && !text.includes('"') && !text.includes('\\') && NO_CONTROLS.test(text) &&
    staysOnLine(text) && text.isWellFormed()
}

function quote (text: string): string {
  return isPlain(text) ? `"${text}"` : escapeJson(JSON.stringify(text))
}

export function stringifyAny (value: unknown): string | undefined {
  const json: string | undefined = JSON.stringify(value) // undefined for undefined and functions, which its type leaves out
  return json === undefined ? undefined : escapeJson(json)
}

/** @param references the shared schemas that `schema` may name by `$ref` */
export function compileSerializer (schema: TSchema, references: readonly TSchema[]): Stringify {
  return new Generator(references).compile(schema)
}

/** TypeBox's patterns for keys that are any string. Taken at their word they would leave out those with line ends. */
const ANY_KEY = ['^(.*)$', '^.*$']

interface Shapes {
  string: boolean
  number: boolean
  boolean: boolean
  date: boolean
  objects: TSchema[]
  arrays: TSchema[]
}

class Generator {
  readonly #byId = new Map<string, TSchema>()
  readonly #ids = new Map<TSchema, number>()
  readonly #functions = new Map<string, string>()
  readonly #code: string[] = []

  constructor (references: readonly TSchema[]) {
    for (const reference of references) this.#byId.set(reference.$id as string, reference) // normalize gave each its $id
  }

  compile (schema: TSchema): Stringify {
    const name = this.#serializer([schema])
    // eslint-disable-next-line no-new-func -- names come from JSON.stringify, and values are never part of the code
    const make = new Function('any', 'quote', 'digits', `'use strict'\n${this.#code.join('\n')}\nreturn ${name}`)
    return make(stringifyAny, quote, digitsOf) as Stringify // the code above is such a function
  }

  /** The name of the function that writes a value of any of these schemas. */
  #serializer (schemas: TSchema[]): string {
    const shapes = this.#shapesOf(schemas)
    if (shapes === undefined) return 'any'
    const key = JSON.stringify({ ...shapes, objects: shapes.objects.map(this.#idOf), arrays: shapes.arrays.map(this.#idOf) })
    let name = this.#functions.get(key)
    if (name === undefined) {
      name = `f${this.#functions.size}`
      this.#functions.set(key, name) // before the body: a schema may hold itself
      this.#code.push(`function ${name} (v) {\n${this.#body(shapes)}return any(v)\n}`)
    }
    return name
  }

  #body ({ string, number, boolean, date, objects, arrays }: Shapes): string {
    let body = ''
    if (string) body += 'if (typeof v === "string") return quote(v)\n'
    if (number) body += 'if (typeof v === "number") return Number.isSafeInteger(v) ? digits(v) : Number.isFinite(v) ? `${v}` : "null"\n'
    if (boolean) body += 'if (typeof v === "boolean") return v ? "true" : "false"\n'
    if (date) body += 'if (v instanceof Date && !Number.isNaN(v.getTime())) return `"${v.toISOString()}"`\n'
    if (objects.length + arrays.length === 0) return body
    body = `if (typeof v === "object" && v !== null && !(v instanceof Date) && typeof v.toJSON === "function") v = v.toJSON()\n${body}`
    body += 'if (typeof v === "object" && v !== null && typeof v.toJSON !== "function") {\n'
    if (arrays.length > 0) body += `if (Array.isArray(v)) {\n${this.#arrayBody(arrays)}}\n`
    if (objects.length > 0) body += `if (!Array.isArray(v)) {\n${this.#objectBody(objects)}}\n`
    return body + '}\n'
  }

  #arrayBody (arrays: TSchema[]): string {
    const [tuple] = arrays
    if (arrays.length === 1 && tuple?.[Kind] === 'Tuple') {
      // Each place has a schema of its own. A value of another length goes on to JSON.stringify.
      const places = (tuple.items ?? []).map((item: TSchema, index: number) => `(${this.#serializer([item])}(v[${index}]) ?? "null")`)
      return `if (v.length === ${places.length}) return "[" + ${places.join(' + "," + ') || '""'} + "]"\n`
    }
    const items = arrays.flatMap((array): TSchema[] => array[Kind] === 'Tuple' ? array.items ?? [] : [array.items])
    const item = items.length === 0 ? 'any' : this.#serializer(items)
    return `let s = "["\nfor (let i = 0; i < v.length; i++) {\nif (i > 0) s += ","\ns += ${item}(v[i]) ?? "null"\n}\nreturn s + "]"\n`
  }

  #objectBody (objects: TSchema[]): string {
    const records = objects.filter((object) => object[Kind] === 'Record')
    if (records.length > 0) {
      const patterns = records.map((record) => record.patternProperties as Record<string, TSchema>) // of each record
      const value = this.#serializer(patterns.flatMap((pattern) => Object.values(pattern)))
      const declared = patterns.flatMap((pattern) => Object.keys(pattern)).map((pattern) => ANY_KEY.includes(pattern) ? 'true' : `${new RegExp(pattern)}.test(k)`).join(' || ')
      return `let s = "", x\nfor (const k of Object.keys(v)) {\nif (!(${declared})) continue\nx = ${value}(v[k])\nif (x !== undefined) s += (s === "" ? "" : ",") + quote(k) + ":" + x\n}\nreturn "{" + s + "}"\n`
    }
    const properties = new Map<string, TSchema[]>()
    for (const object of objects) {
      for (const [name, schema] of Object.entries(object.properties as Record<string, TSchema>)) {
        properties.set(name, [...properties.get(name) ?? [], schema])
      }
    }
    let body = 'let s = "", x\n'
    for (const [name, schemas] of properties) {
      const key = JSON.stringify(name)
      body += `x = ${name === '__proto__' ? `Object.hasOwn(v, ${key}) ? v[${key}] : undefined` : `v[${key}]`}\nif (x !== undefined) {\nx = ${this.#serializer(schemas)}(x)\nif (x !== undefined) s += (s === "" ? ${JSON.stringify(`{${escapeJson(key)}:`)} : ${JSON.stringify(`,${escapeJson(key)}:`)}) + x\n}\n`
    }
    return body + 'return s === "" ? "{}" : s + "}"\n'
  }

  /** What the values of these schemas can be, or undefined where only JSON.stringify does them justice. */
  #shapesOf (schemas: TSchema[]): Shapes | undefined {
    const shapes: Shapes = { string: false, number: false, boolean: false, date: false, objects: [], arrays: [] }
    const seen = new Set<TSchema>()
    const add = (schema: TSchema): boolean => {
      if (seen.has(schema)) return true
      seen.add(schema)
      // A schema with an $id of its own is what a Ref or This further in means.
      if (typeof schema.$id === 'string' && !this.#byId.has(schema.$id)) this.#byId.set(schema.$id, schema)
      switch (schema[Kind]) {
        case 'String': case 'TemplateLiteral': case 'RegExp': return (shapes.string = true)
        case 'Number': case 'Integer': return (shapes.number = true)
        case 'Boolean': return (shapes.boolean = true)
        case 'Date': return (shapes.date = true)
        case 'Null': case 'Undefined': case 'Void': return true // `any` writes them
        case REFINEMENT: return true // whatever it stands beside says what there is to write
        case 'Literal': return typeof schema.const === 'string' ? (shapes.string = true) : true
        case 'Array': case 'Tuple': return shapes.arrays.push(schema) > 0
        case 'Record': return isOpen(schema) ? false : shapes.objects.push(schema) > 0
        case 'Object': return isOpen(schema) ? false : shapes.objects.push(schema) > 0
        case 'Union': return (schema.anyOf as TSchema[]).every(add)
        case 'Intersect': return (schema.allOf as TSchema[]).every(add) && !isOpen(schema)
        case 'Ref': case 'This': {
          const target = this.#byId.get(schema.$ref as string)
          return target !== undefined && add(target)
        }
        default: return false
      }
    }
    if (!schemas.every(add)) return undefined
    // A record beside an object: which of an object's names belong to whom depends on the value.
    if (shapes.objects.length > 1 && shapes.objects.some((object) => object[Kind] === 'Record')) return undefined
    return shapes
  }

  #idOf = (schema: TSchema): number => {
    let id = this.#ids.get(schema)
    if (id === undefined) this.#ids.set(schema, id = this.#ids.size)
    return id
  }
}

function isOpen ({ additionalProperties, unevaluatedProperties }: TSchema): boolean {
  return (additionalProperties !== undefined && additionalProperties !== false) ||
    (unevaluatedProperties !== undefined && unevaluatedProperties !== false)
}
