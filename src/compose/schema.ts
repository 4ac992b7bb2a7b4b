import document from '../../schemas/compose.schema.json' with { type: 'json' };

/** The part of JSON Schema that our schema uses. */
export interface Schema {
  readonly description?: string;
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly uniqueItems?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
}

/** Our schema of a compose file. */
export const COMPOSE_SCHEMA: Schema = document as unknown as Schema;

const DEFINITIONS = (document as unknown as { readonly $defs: Readonly<Record<string, Schema>> }).$defs;
const PREFIX = '#/$defs/';

const alternatives = new WeakMap<Schema, readonly Schema[]>();

/** The alternatives of a schema with references followed: one schema per kind of value. */
export function alternativesOf(schema: Schema): readonly Schema[] {
  const known = alternatives.get(schema);
  if (known) return known;
  const made = followAlternatives(schema);
  alternatives.set(schema, made);
  return made;
}

function followAlternatives(schema: Schema): readonly Schema[] {
  const target = schema.$ref === undefined ? schema : lookUp(schema.$ref);
  return target.oneOf === undefined ? [target] : target.oneOf.flatMap(alternativesOf);
}

function lookUp(reference: string): Schema {
  const name = reference.slice(PREFIX.length);
  return Object.hasOwn(DEFINITIONS, name) ? (DEFINITIONS[name] ?? {}) : {};
}

/** The types a schema without alternatives accepts. */
export function typesOf(schema: Schema): readonly string[] {
  return schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : schema.type;
}

const patterns = new Map<string, RegExp>();

/** The compiled pattern; compiled once. */
export function patternOf(text: string): RegExp {
  const known = patterns.get(text);
  if (known) return known;
  const made = new RegExp(text);
  patterns.set(text, made);
  return made;
}

/** The schema below a key; undefined when the key is unknown. */
export function propertyOf(schema: Schema, key: string): Schema | undefined {
  if (schema.properties && Object.hasOwn(schema.properties, key)) return schema.properties[key];
  for (const pattern in schema.patternProperties) {
    if (patternOf(pattern).test(key)) return schema.patternProperties[pattern];
  }
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}
