/* eslint no-template-curly-in-string: "off" -- the templates stand in the code that is generated here */
// A function made for one schema that writes its values as JSON: the property names, quotes and commas are
// constants in it, and nothing is enumerated.
//
// It is total: a value of a type that the schema does not name is written as JSON.stringify would. Of an object
// it writes the properties that the schema declares, as Fastify's own serializer does, so that what nobody
// declared does not leak; of a union's or an intersection's objects, those that any member declares. Where a schema
// allows further properties, they are written as it says of them.
import { Kind, type TSchema } from '@sinclair/typebox'
import { escapeJson, staysOnLine } from '../wire/encode.js'
import { digitsOf } from './digits.js'
import { REFINEMENT } from './refinement.js'

export type Stringify = (value: unknown) => string | undefined

// What JSON or the wire needs escaped; a lone surrogate is one that JSON.stringify escapes, so any is looked at twice.
// eslint-disable-next-line no-control-regex -- control characters are what this looks for
const NEEDS_ESCAPE = /["\\\u0000-\u001f\u0085\u2028\u2029\ud800-\udfff]/

/**
 * Four characters at once, of which V8 makes one comparison: of 300 characters it takes a third of the time of one at a time, and a sixth of that
 * of the expression above. Where it fails it goes all the way back, by four.
 */
const NO_CONTROLS = /^(?:[ -\uffff][ -\uffff][ -\uffff][ -\uffff])*[ -\uffff]?[ -\uffff]?[ -\uffff]?$/

/** From so many characters on, one pass and seven native calls are faster than one pass of many comparisons. */
const LONG = 100

function isPlain (text: string): boolean {
  if (text.length < LONG) return !NEEDS_ESCAPE.test(text)
  // Each of these is a native search; of those for what Latin-1 has not, the answer is known where the text is kept as such.
  // What stands in most texts that need it comes first.
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
  readonly #besideIntersections = new Map<TSchema, TSchema>()
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
    body += 'if (typeof v === "object" && v !== null && !(v instanceof Date)) {\n'
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
    const names = new Set(objects.flatMap(({ properties = {} }) => Object.keys(properties as object)))
    let body = 'let s = "", x\n'
    for (const name of names) {
      const key = JSON.stringify(name)
      const value = this.#serializer(objects.flatMap((object) => schemasOf(object, name)))
      body += `x = ${name === '__proto__' ? `Object.hasOwn(v, ${key}) ? v[${key}] : undefined` : `v[${key}]`}\nif (x !== undefined) {\nx = ${value}(x)\nif (x !== undefined) s += (s === "" ? ${JSON.stringify(`{${escapeJson(key)}:`)} : ${JSON.stringify(`,${escapeJson(key)}:`)}) + x\n}\n`
    }
    return body + this.#othersBody(objects, names) + 'return s === "" ? "{}" : s + "}"\n'
  }

  /** What a value has beside the properties that are known by their names. */
  #othersBody (objects: TSchema[], names: ReadonlySet<string>): string {
    const patterns = objects.flatMap(patternsOf)
    const rest = objects.flatMap(restOf)
    if (patterns.length + rest.length === 0) return ''
    const value = this.#serializer([...patterns.map(([, schema]) => schema), ...rest])
    const isAny = rest.length > 0 || patterns.some(([pattern]) => ANY_KEY.includes(pattern))
    const isLeftOut = [
      ...names.size === 0 ? [] : [`${this.#constant(`new Set(${JSON.stringify([...names])})`)}.has(k)`],
      ...isAny ? [] : [`!(${patterns.map(([pattern]) => `${new RegExp(pattern)}.test(k)`).join(' || ')})`]
    ]
    return `for (const k of Object.keys(v)) {\n${isLeftOut.map((condition) => `if (${condition}) continue\n`).join('')}x = ${value}(v[k])\nif (x !== undefined) s += (s === "" ? "{" : ",") + quote(k) + ":" + x\n}\n`
  }

  /** The name of a value that all calls share. */
  #constant (code: string): string {
    const name = `c${this.#code.length}`
    this.#code.push(`const ${name} = ${code}`)
    return name
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
        case 'Record': case 'Object': return shapes.objects.push(schema) > 0
        case 'Union': return (schema.anyOf as TSchema[]).every(add)
        case 'Intersect': return [...schema.allOf as TSchema[], ...this.#besides(schema)].every(add)
        case 'Ref': case 'This': {
          const target = this.#byId.get(schema.$ref as string)
          return target !== undefined && add(target)
        }
        default: return false
      }
    }
    return schemas.every(add) ? shapes : undefined
  }

  /** As an object of its own, what an intersection allows beside its members. One for each: a schema may hold itself. */
  #besides (schema: TSchema): TSchema[] {
    const [additionalProperties] = restOf(schema)
    if (additionalProperties === undefined) return []
    let object = this.#besideIntersections.get(schema)
    if (object === undefined) this.#besideIntersections.set(schema, object = { [Kind]: 'Object', additionalProperties } as unknown as TSchema) // as far as an object is looked at here
    return [object]
  }

  #idOf = (schema: TSchema): number => {
    let id = this.#ids.get(schema)
    if (id === undefined) this.#ids.set(schema, id = this.#ids.size)
    return id
  }
}

const ANY = { [Kind]: 'Any' } as TSchema // of which `any` writes everything

function patternsOf ({ patternProperties = {} }: TSchema): Array<[pattern: string, schema: TSchema]> {
  return Object.entries(patternProperties as Record<string, TSchema>)
}

/** Of properties that are declared neither by their names nor by a pattern. TypeBox takes an intersection of one object for that object. */
function restOf ({ additionalProperties, unevaluatedProperties }: TSchema): TSchema[] {
  const rest: unknown = additionalProperties ?? unevaluatedProperties ?? false
  return rest === false ? [] : [rest === true ? ANY : rest as TSchema]
}

/** All that an object's schema says of one property. */
function schemasOf (object: TSchema, name: string): TSchema[] {
  const { properties = {} } = object as { properties?: Record<string, TSchema> }
  const own = Object.hasOwn(properties, name) ? [properties[name] as TSchema] : []
  const declared = [...own, ...patternsOf(object).filter(([pattern]) => ANY_KEY.includes(pattern) || new RegExp(pattern).test(name)).map(([, schema]) => schema)]
  return declared.length > 0 ? declared : restOf(object)
}
