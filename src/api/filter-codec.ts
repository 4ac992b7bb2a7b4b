import { TscError } from '../core/index.ts';

/** Filter keys with their values, in the order given; a null-prototype map, so any key is safe. */
export type Filters = Readonly<Record<string, readonly string[]>>;

const MAX_LENGTH = 64 << 10;

/**
 * Parses the `filters` query parameter in both published forms: `{"label":["a=b"]}` and `{"label":{"a=b":true}}`.
 * An absent or empty text means no filter. Throws `api/invalid`.
 */
export function parseFilters(text: string | null | undefined): Filters {
  const filters: Record<string, string[]> = Object.create(null);
  if (text === null || text === undefined || text === '') return filters;
  if (text.length > MAX_LENGTH) throw new TscError('api/invalid', `filters are longer than ${MAX_LENGTH} characters`);
  const parsed = parseObject(text);
  for (const [key, value] of Object.entries(parsed)) filters[key] = readValues(key, value);
  return filters;
}

function parseObject(text: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new TscError('api/invalid', 'filters are not valid JSON', { cause: error });
  }
  if (parsed === null) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed))
    throw new TscError('api/invalid', 'filters must be an object');
  return parsed;
}

function readValues(key: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value);
    if (entries.every(([, on]) => typeof on === 'boolean')) return entries.filter(([, on]) => on).map(([item]) => item);
  }
  throw new TscError('api/invalid', `filter ${JSON.stringify(key.slice(0, 80))} must hold a list of strings`);
}

/** The query text of filters in the form that every version reads: maps of true. Empty filters give an empty text. */
export function formatFilters(filters: Filters): string {
  const entries = Object.entries(filters);
  if (entries.length === 0) return '';
  return JSON.stringify(
    Object.fromEntries(entries.map(([key, values]) => [key, Object.fromEntries(values.map((value) => [value, true]))])),
  );
}

/** Refuses a filter that the call does not know, naming it. Throws `api/invalid`. */
export function checkFilters(filters: Filters, known: readonly string[]): void {
  const unknown = Object.keys(filters).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new TscError('api/invalid', `invalid filter ${JSON.stringify(unknown.slice(0, 80))}`, {
    hint: known.length === 0 ? 'this call has no filters' : `use one of ${known.join(', ')}`,
  });
}

/** Whether labels satisfy every `key` or `key=value` of a label filter. */
export function matchesLabels(
  wanted: readonly string[] | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (wanted ?? []).every((item) => hasLabel(item, labels));
}

/** Whether labels hold `key` or exactly `key=value`. */
export function hasLabel(item: string, labels: Readonly<Record<string, string>>): boolean {
  const equals = item.indexOf('=');
  if (equals < 0) return Object.hasOwn(labels, item);
  const key = item.slice(0, equals);
  return Object.hasOwn(labels, key) && labels[key] === item.slice(equals + 1);
}
